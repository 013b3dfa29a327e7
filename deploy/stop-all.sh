#!/bin/sh
# Stops what deploy/start-all.sh started: running streams get their time, data stays in its volumes.
# Usage: deploy/stop-all.sh [arguments of `docker compose down`]     – `--volumes` deletes the data too
set -eu
cd "$(dirname "$0")/.."
[ -e deploy/.env ] || { echo "stop-all: there is no deploy/.env, so nothing was started here" >&2; exit 78; }
exec docker compose --env-file deploy/.env --profile cpu --profile gpu down "$@"
