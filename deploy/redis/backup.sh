#!/bin/sh
# Copies what Redis keeps (its append-only files) while it runs. Run as a user who may read its directory.
# Usage: deploy/redis/backup.sh <directory of Redis, e.g. /var/lib/redis> <new directory>
#   REDIS_CLI   how to call redis-cli, with the address and a user who may CONFIG, e.g. "redis-cli --user admin" with REDISCLI_AUTH set
# To restore: stop Redis, put the copied appendonlydir into its empty directory with its owner, start it.
set -eu
[ $# -eq 2 ] || { sed -n 's/^# //p' "$0" >&2; exit 78; }
data=$1 target=$2
cli() { ${REDIS_CLI:-redis-cli} "$@"; }
field() { cli info persistence | tr -d '\r' | sed -n "s/^$1://p"; }

[ -d "$data/appendonlydir" ] || { echo "backup: $data/appendonlydir: not there; is appendonly on?" >&2; exit 78; }
[ ! -e "$target" ] || { echo "backup: $target: is there already" >&2; exit 78; }
percentage=$(cli config get auto-aof-rewrite-percentage | tail -n 1 | tr -d '\r')
case $percentage in '' | *[!0-9]*) echo "backup: Redis says: $percentage" >&2; exit 75 ;; esac
# A rewrite would take files away that are being copied.
trap 'cli config set auto-aof-rewrite-percentage "$percentage" >/dev/null' EXIT
cli config set auto-aof-rewrite-percentage 0 >/dev/null
while [ "$(field aof_rewrite_in_progress)" != 0 ] || [ "$(field aof_rewrite_scheduled)" != 0 ]; do sleep 1; done
umask 077
mkdir -p "$target"
cp -R "$data/appendonlydir" "$target/appendonlydir"
echo "backup: $target/appendonlydir"
