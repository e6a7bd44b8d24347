#!/bin/sh
# Changes the passwords of Redis' users while everything runs: Redis accepts old and new ones, the containers' files are
# written, then the old ones are refused. Workers read theirs for each connection and continue; the exporter is restarted.
# usage: ops/rotate.sh [USER …]   of worker, producer, reader, exporter and default; without, all of them
set -eu
cd "$(dirname "$0")/.."
users=${*:-worker producer reader exporter default}

# file_of USER: the file with its password.
file_of() {
  case $1 in
    default) echo redis-password ;;
    exporter) echo exporter-user-password ;;
    worker | producer | reader) echo "$1-password" ;;
    *) echo "rotate: no user $1: expected worker, producer, reader, exporter or default" >&2; exit 64 ;;
  esac
}
for user in $users; do file_of "$user" >/dev/null; done

# as_admin WORD…: a command on Redis, as its administrator.
as_admin() { docker compose exec -T --env "REDISCLI_AUTH=$admin" redis redis-cli --no-auth-warning "$@"; }
# sum FILE: a password's hash. Others can see arguments, so the password itself is never one.
sum() { printf '%s' "$(cat "$1")" | sha256sum | cut -d ' ' -f 1; }
# An interrupted run is completed by the next one, with the same passwords.
for admin in "$(cat redis-password)" "$(cat redis-password.new 2>/dev/null)" ''; do
  [ -z "$admin" ] || [ "$(as_admin PING 2>/dev/null)" != PONG ] || break
done
[ -n "$admin" ] || { echo "rotate: Redis does not answer to the password in redis-password" >&2; exit 3; }

umask 077
for user in $users; do
  file=$(file_of "$user")
  [ -s "$file.new" ] || head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$file.new"
  as_admin ACL SETUSER "$user" "#$(sum "$file.new")" >/dev/null
done
for user in $users; do
  file=$(file_of "$user")
  cat "$file.new" >"$file" # into the same file: a container sees no other under this name
done
ops/passwords.sh
if [ -n "$(docker compose --profile monitoring ps --quiet redis-exporter)" ]; then
  docker compose --profile monitoring restart redis-exporter
fi
for id in $(docker compose ps --quiet worker); do
  docker exec "$id" sightline worker --check >/dev/null || {
    echo "rotate: worker $id does not report with the new password; both passwords are accepted until this is run again" >&2
    exit 1
  }
done
for user in $users; do
  as_admin ACL SETUSER "$user" resetpass "#$(sum "$(file_of "$user").new")" >/dev/null
  [ "$user" != default ] || admin=$(cat redis-password)
  rm "$(file_of "$user").new"
done
echo "rotate: new passwords for $users; the old ones are refused"
