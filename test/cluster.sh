#!/usr/bin/env bash
# Three nodes on this machine, until Ctrl-C: Kafka on 9092, 9093 and 9094, data in data/cluster. With TLS=1 their links are TLS, with certificates that
# are made in data/cluster/tls.
set -euo pipefail
cd "$(dirname "$0")/.."
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait' EXIT
trap 'exit 0' INT TERM

# certificate NAME: an authority's, or a node's that it signs.
certificate() {
  local key=data/cluster/tls/$1.key file=data/cluster/tls/$1.pem
  [ ! -e "$file" ] || return 0
  local opts=(-x509 -days 365 -subj "/CN=$1" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$key" -out "$file")
  if [ "$1" != ca ]; then
    opts+=(-CA data/cluster/tls/ca.pem -CAkey data/cluster/tls/ca.key -addext basicConstraints=critical,CA:FALSE
      -addext "subjectAltName=DNS:localhost,DNS:chronik-$1" -addext extendedKeyUsage=serverAuth,clientAuth)
  fi
  openssl req "${opts[@]}" 2>/dev/null
}

[ -z "${TLS:-}" ] || { mkdir -p data/cluster/tls && certificate ca; }
for id in 1 2 3; do
  peers=()
  for other in 1 2 3; do
    [ "$other" = "$id" ] || peers+=("$other@localhost:500$other")
  done
  tls=()
  if [ -n "${TLS:-}" ]; then
    certificate "node-$id"
    tls=(--cluster-tls-cert "data/cluster/tls/node-$id.pem" --cluster-tls-key "data/cluster/tls/node-$id.key" --cluster-tls-ca data/cluster/tls/ca.pem)
  fi
  bin/chronik-server --node-id "$id" --raft-addr "localhost:500$id" --peers "$(IFS=,; echo "${peers[*]}")" "${tls[@]}" \
    --kafka-port $((9091 + id)) --http-port $((6091 + id)) --replication-port $((9290 + id)) --data-dir "data/cluster/$id" standalone &
  pids+=($!)
done
wait -n
