#!/bin/sh
# Stands for a client in the conformance suite: starts $MCPO on $MCPO_PORT
# before the server that the last argument names, and calls every tool that a
# scenario may have. With CALLBACK_PORT it logs in, as a person would whose
# authorization server asks nothing, and gives the permissions that a call lacks.
set -u
for url; do :; done
dir=$(mktemp -d)
base=http://127.0.0.1:$MCPO_PORT

if [ -z "${CALLBACK_PORT:-}" ]; then
  "$MCPO" --host 127.0.0.1 --server-type streamable-http -- "$url" &
else
  printf '#!/bin/sh\nexec curl -sSL -o /dev/null "$1"\n' >"$dir/browser"
  chmod +x "$dir/browser"
  cat >"$dir/config.json" <<CONFIG
{"mcpServers": {"server": {"type": "streamable-http", "url": "$url", "oauth": {"server_url": "auto", "multi_user": false,
  "storage_type": "memory", "callback_port": $CALLBACK_PORT${OAUTH:-}}}}}
CONFIG
  BROWSER=$dir/browser "$MCPO" --host 127.0.0.1 --config "$dir/config.json" &
fi
mcpo=$!
trap 'kill $mcpo; wait $mcpo; rm -rf "$dir"' EXIT

# call TOOL BODY
call() { curl -sS -d "$2" "$base${CALLBACK_PORT:+/server}/$1"; }

# connect opens the link of an answer that has one, and says yes.
connect() {
  link=$(sed -n 's/.*"authorization_url":"\([^"]*\)".*/\1/p')
  [ -n "$link" ] || return 1
  page=$(curl -sS -b "$dir/jar" -c "$dir/jar" "$link")
  csrf=$(printf '%s' "$page" | sed -n 's/.*name="csrf" value="\([^"]*\)".*/\1/p')
  curl -sSL -o /dev/null -b "$dir/jar" -c "$dir/jar" -d "csrf=$csrf" "$link"
}

curl -fsS --retry 50 --retry-all-errors --retry-delay 1 "$base/readyz"
if [ -z "${CALLBACK_PORT:-}" ]; then
  call add_numbers '{"a":5,"b":3}'
  call test_reconnection '{}'
  exit
fi
# The login that mcpo began goes on beside; it is over when there is a document
# with the tool, or when there never will be one.
tries=0
until curl -sS "$base/server/openapi.json" | grep -q '"/test-tool"' || [ $tries = "${PATIENCE:-50}" ]; do
  tries=$((tries + 1))
  sleep 0.1
done
for attempt in 1 2 3 4 5; do
  call test-tool '{}' | connect || break
done
call test-tool '{}'
