#!/bin/sh
# Gives Redis' users new passwords, and restarts what uses them: first Redis takes both, old and new, then workers and
# exporter come back with the new ones, then the old ones are refused.
# usage: ops/rotate.sh [USER …]   of worker, producer, exporter and default; without, all of them
set -eu
cd "$(dirname "$0")/.."
users=${*:-worker producer exporter default}

# file_of USER: where its password is.
file_of() {
  case $1 in
    default) echo redis-password ;;
    exporter) echo exporter-user-password ;;
    worker | producer) echo "$1-password" ;;
    *) echo "rotate: no user $1: expected worker, producer, exporter or default" >&2; exit 64 ;;
  esac
}
for user in $users; do file_of "$user" >/dev/null; done

# as_admin WORD…: a command on Redis, as its administrator.
as_admin() { docker compose exec -T --env "REDISCLI_AUTH=$admin" redis redis-cli --no-auth-warning "$@"; }
# A run that was interrupted is finished by the next: the old passwords are kept in files until Redis refuses them.
for admin in "$(cat redis-password.old 2>/dev/null || cat redis-password)" "$(cat redis-password)" ''; do
  [ "$(as_admin PING 2>/dev/null)" = PONG ] && break
done
[ -n "$admin" ] || { echo "rotate: Redis does not answer to the password in redis-password" >&2; exit 3; }
sum() { printf '%s' "$(cat "$1")" | sha256sum | cut -d ' ' -f 1; }

for user in $users; do
  file=$(file_of "$user")
  [ -e "$file.old" ] || mv "$file" "$file.old"
done
ops/passwords.sh
for user in $users; do
  as_admin ACL SETUSER "$user" "#$(sum "$(file_of "$user")")" >/dev/null # by its hash: arguments are seen by others
done
# Files of secrets are mounted as they were: only a new container sees the new ones.
docker compose up --detach --no-deps --force-recreate worker
if [ -n "$(docker compose ps --quiet redis-exporter 2>/dev/null)" ]; then
  docker compose --profile monitoring up --detach --no-deps --force-recreate redis-exporter
fi
waited_s=0
# Whether a worker is not healthy (yet).
is_one_not_healthy() {
  docker compose ps --quiet worker | xargs docker inspect --format '{{.State.Health.Status}}' | grep -qvx healthy
}
while is_one_not_healthy; do
  [ "$waited_s" -lt 120 ] || { echo "rotate: the workers are not healthy; both passwords are taken until this is run again" >&2; exit 1; }
  sleep 1
  waited_s=$((waited_s + 1))
done
for user in $users; do
  file=$(file_of "$user")
  as_admin ACL SETUSER "$user" "!$(sum "$file.old")" >/dev/null
  rm "$file.old"
done
echo "rotate: new passwords for $users; the old ones are refused"
