#!/usr/bin/env bash
# The chaos tests, with what they need from the machine. ROUNDS: how often each fault is repeated; RUN: which tests, a regular expression.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=()
for tool in ip:iproute2 tc:iproute2 nft:nftables nsenter:util-linux mkfs.ext4:e2fsprogs; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
# What is missing now makes the tests skip, with the reason.
exec "${GO:-go}" test ./test/chaos -count=1 -v -timeout 120m ${RUN:+-run "$RUN"} -args -chaos.rounds="${ROUNDS:-2}" ${CHAOS_ARGS:-}
