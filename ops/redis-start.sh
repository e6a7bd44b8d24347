#!/bin/sh
# Starts Redis with its users, whose passwords come from files and are in no image, environment or process list.
# usage: redis-start.sh CONF ACL_TEMPLATE SECRETS_DIR RUN_DIR [option of redis-server …]
# SECRETS_DIR holds redis_password (all rights), worker_password (the rights of a worker), producer_password (submits and reads)
# reader_password (reads) and exporter_user_password (reads metrics). ENVIRONMENT: as the workers'.
set -eu
conf=$1 template=$2 secrets=$3 run=$4
shift 4

# hash FILE: the SHA-256 of a password; a final newline is not part of it.
hash() {
  [ -s "$1" ] || { echo "redis-start: $1 is missing or empty: write a password into it (ops/passwords.sh does)" >&2; exit 78; }
  printf '%s' "$(cat "$1")" | sha256sum | cut -d ' ' -f 1
}

environment=${ENVIRONMENT:-dev}
case $environment in
  '' | *[!a-z0-9_-]*)
    echo "redis-start: ENVIRONMENT is '$environment': expected 1 to 32 characters of a-z, 0-9, _ and -" >&2
    exit 78
    ;;
esac
default=$(hash "$secrets/redis_password")
worker=$(hash "$secrets/worker_password")
producer=$(hash "$secrets/producer_password")
reader=$(hash "$secrets/reader_password")
exporter=$(hash "$secrets/exporter_user_password")
umask 077
sed -e "s/DEFAULT_SHA256/$default/; s/WORKER_SHA256/$worker/; s/PRODUCER_SHA256/$producer/; s/READER_SHA256/$reader/; s/EXPORTER_SHA256/$exporter/; s/ENVIRONMENT/$environment/g" "$template" >"$run/users.acl"
# The image's own entry point drops root before it starts redis-server; that user must be able to read the file.
if [ "$(id -u)" = 0 ] && id redis >/dev/null 2>&1; then
  chown redis "$run/users.acl"
  exec docker-entrypoint.sh redis-server "$conf" --aclfile "$run/users.acl" "$@"
fi
exec redis-server "$conf" --aclfile "$run/users.acl" "$@"
