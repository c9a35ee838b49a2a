#!/bin/sh
# secrets.sh makes .env with secrets that nobody else has. One that is there stays:
# without its keys the stored logins cannot be opened.
set -eu
cd "$(dirname "$0")"
[ ! -e .env ] || { echo ".env is there already" >&2; exit 1; }
umask 077
for name in MCPO_API_KEY MCPO_ENCRYPTION_KEY FORWARD_USER_INFO_HEADER_JWT_SECRET WEBUI_SECRET_KEY POSTGRES_PASSWORD; do
  echo "$name=$(openssl rand -hex 32)"
done >.env.new
mv .env.new .env
echo "made .env; the key for Open WebUI's connections is MCPO_API_KEY"
