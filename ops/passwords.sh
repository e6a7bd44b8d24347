#!/bin/sh
# Writes the passwords that docker-compose.yml reads, once: those that are there stay.
# They are readable by all users of this machine, because the containers' users are not yours; the folder need not be.
set -eu
cd "$(dirname "$0")/.."
for name in redis producer grafana; do
  [ -s "$name-password" ] || head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$name-password"
  chmod 644 "$name-password"
done
printf '{"redis://redis:6379": "%s"}' "$(cat redis-password)" >exporter-password
chmod 644 exporter-password
