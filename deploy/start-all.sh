#!/bin/sh
# Starts the mesh of docker-compose.yml. The first start makes its secrets and a self-signed certificate.
# Usage: deploy/start-all.sh [cpu|gpu] [arguments of `docker compose up`]     – cpu where nothing is said
#   SECRETS_ONLY=1               makes what is missing, and starts nothing
#   MESH_COMPOSE_FILES="a b"     further compose files
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
profile=${1:-cpu}
[ $# -eq 0 ] || shift
case $profile in
  cpu | gpu) ;;
  *) echo "start-all: unknown profile '$profile'; there are cpu and gpu" >&2; exit 78 ;;
esac
command -v openssl >/dev/null || { echo "start-all: openssl is missing; install it" >&2; exit 78; }

secrets=deploy/secrets
umask 077
mkdir -p "$secrets/tls"
# Only the owner can enter the directory; the files are read in containers, by users that do not exist here.
chmod 700 "$secrets"
chmod 755 "$secrets/tls"

[ -e deploy/.env ] || cp deploy/.env.example deploy/.env
chmod 600 deploy/.env
value() { sed -n "s/^$1=//p" deploy/.env | tail -n 1; }
for name in MESH_TOKEN REDIS_PASSWORD REDIS_ADMIN_PASSWORD; do
  [ -z "$(value "$name")" ] || continue
  sed "/^$name=/d" deploy/.env >"$secrets/env.new"
  echo "$name=$(openssl rand -hex 32)" >>"$secrets/env.new"
  mv "$secrets/env.new" deploy/.env
  echo "start-all: made $name in deploy/.env"
done
for name in REDIS_PASSWORD REDIS_ADMIN_PASSWORD; do
  case $(value "$name") in
    *[!A-Za-z0-9]*) echo "start-all: $name in deploy/.env: letters and digits only, it stands in an address" >&2; exit 78 ;;
  esac
done

for name in pepper grafana-password; do
  [ -e "$secrets/$name" ] && continue
  openssl rand -hex 32 >"$secrets/$name"
  echo "start-all: made $secrets/$name"
done
# Files that are there cannot be written to, also not by their owner.
rm -f "$secrets/redis-users.acl"
sha256() { printf %s "$1" | openssl dgst -sha256 -r | cut -d ' ' -f 1; }
sed -e "s/MESH_PASSWORD_SHA256/$(sha256 "$(value REDIS_PASSWORD)")/" \
  -e "s/ADMIN_PASSWORD_SHA256/$(sha256 "$(value REDIS_ADMIN_PASSWORD)")/" \
  deploy/redis/users.acl.example >"$secrets/redis-users.acl"

if [ ! -e "$secrets/tls/fullchain.pem" ]; then
  domain=$(value MESH_DOMAIN)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=${domain:-localhost}" \
    -addext "subjectAltName=DNS:${domain:-localhost}" -keyout "$secrets/tls/privkey.pem" -out "$secrets/tls/fullchain.pem" 2>/dev/null
  echo "start-all: made a self-signed certificate for ${domain:-localhost}; deploy/nginx/README.md tells how to get a real one"
fi
chmod 444 "$secrets"/pepper "$secrets"/grafana-password "$secrets"/redis-users.acl "$secrets"/tls/*.pem
[ -z "${SECRETS_ONLY:-}" ] || exit 0

command -v docker >/dev/null || { echo "start-all: docker is missing; install Docker Engine with the Compose plugin" >&2; exit 78; }
# What the file says goes before what the profile means.
MESH_CONFIG_FILE=${MESH_CONFIG_FILE:-$(value MESH_CONFIG_FILE)}
export MESH_CONFIG_FILE="${MESH_CONFIG_FILE:-./deploy/docker/mesh.$profile.yaml}"
files="-f docker-compose.yml"
for file in ${MESH_COMPOSE_FILES:-}; do files="$files -f $file"; done
# shellcheck disable=SC2086 -- a list of arguments
docker compose --env-file deploy/.env $files --profile "$profile" up --build --detach --wait "$@"
echo "The mesh serves on https://$(value MESH_DOMAIN):$(value MESH_HTTPS_PORT)"
echo "The admin key: docker compose --env-file deploy/.env exec auth cat /var/lib/inference-mesh/admin.key"
