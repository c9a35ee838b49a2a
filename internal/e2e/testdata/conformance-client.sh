#!/bin/sh
# Stands for a client in the conformance suite: starts $MCPO on $MCPO_PORT
# before the server that the last argument names, and calls every tool that a
# scenario may have.
for url; do :; done
"$MCPO" --host 127.0.0.1 --server-type streamable-http -- "$url" &
mcpo=$!
trap 'kill $mcpo; wait $mcpo' EXIT
base=http://127.0.0.1:$MCPO_PORT
curl -fsS --retry 50 --retry-all-errors --retry-delay 1 "$base/readyz"
curl -sS -d '{"a":5,"b":3}' "$base/add_numbers"
curl -sS -d '{}' "$base/test_reconnection"
