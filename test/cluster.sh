#!/usr/bin/env bash
# Three nodes on this machine, until Ctrl-C: Kafka on 9092, 9093 and 9094, data in data/cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait' EXIT
trap 'exit 0' INT TERM
for id in 1 2 3; do
  peers=()
  for other in 1 2 3; do
    [ "$other" = "$id" ] || peers+=("$other@localhost:500$other")
  done
  bin/chronik-server --node-id "$id" --raft-addr "localhost:500$id" --peers "$(IFS=,; echo "${peers[*]}")" \
    --kafka-port $((9091 + id)) --http-port $((6091 + id)) --replication-port $((9290 + id)) --data-dir "data/cluster/$id" standalone &
  pids+=($!)
done
wait -n
