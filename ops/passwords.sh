#!/bin/sh
# Writes the passwords that docker-compose.yml reads, once; existing ones stay. ops/rotate.sh replaces them.
# They and the mounted configuration are made readable by all users of this machine, because the containers' users are
# not yours; the folder need not be. Run it again after an update of a clone that was made with a umask of 077.
set -eu
cd "$(dirname "$0")/.."
for name in redis worker producer reader exporter-user grafana; do
  [ -s "$name-password" ] || head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$name-password"
  chmod 644 "$name-password"
done
# Password of the mail server for alerts; write it there if that server requires a login.
[ -e alert-smtp-password ] || : >alert-smtp-password
chmod 644 alert-smtp-password
# Accounts of the pages; none until one is added (docs/board.md).
: >>web-password
chmod 644 web-password
# quoted FILE: its password inside a JSON string.
quoted() { printf '%s' "$(cat "$1")" | sed 's/[\\"]/\\&/g'; }
printf '{"redis://exporter@redis:6379": "%s"}' "$(quoted exporter-user-password)" >exporter-password
chmod 644 exporter-password
chmod -R a+rX ops/prometheus ops/alertmanager ops/runbook.md ops/grafana ops/redis-start.sh ops/redis.conf ops/users.acl
