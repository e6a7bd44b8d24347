#!/bin/sh
# Rolls the workers of Compose to the image that is now built or pulled: starts new ones, waits until they are healthy, then
# stops the old ones one by one. Jobs that finish within SHUTDOWN_GRACE_S are not requeued.
# Ctrl-C removes the new ones while they are waited for; later it is ignored, since half of both would be left.
# usage: ops/roll.sh [option of docker compose, such as -f FILE …]
set -eu
cd "$(dirname "$0")/.."
within_s=${ROLL_WITHIN_S:-180}

# healthy: whether all new workers are.
healthy() {
  for id in $new; do
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$id" 2>/dev/null)" = healthy ] || return 1
  done
}

ops/passwords.sh
old=$(docker compose "$@" ps --quiet worker)
count=$(printf '%s\n' "$old" | grep -c . || true)
[ "$count" -gt 0 ] || { echo "roll: no worker runs: docker compose up -d starts them" >&2; exit 64; }
# Each id is a separate argument.
# shellcheck disable=SC2046
trap '
  trap "" INT TERM
  echo "roll: interrupted; the old workers continue, the new ones are removed" >&2
  docker rm --force $(docker compose "$@" ps --all --quiet worker | grep -vF "$old") >/dev/null || true
  exit 130' INT TERM
docker compose "$@" up --detach --no-deps --no-recreate --scale "worker=$((count * 2))" worker

waited_s=0
new=$(docker compose "$@" ps --quiet worker | grep -vF "$old") || {
  echo "roll: no new worker was started; the old ones continue" >&2
  exit 1
}
until healthy; do
  if [ "$waited_s" -ge "$within_s" ]; then
    echo "roll: the new workers are not healthy after $within_s s; the old ones continue, the new ones are removed:" >&2
    docker logs --tail 20 "$(printf '%s\n' "$new" | head -n 1)" >&2 || true
    # shellcheck disable=SC2086  # as above
    docker rm --force $new >/dev/null
    exit 1
  fi
  sleep 2
  waited_s=$((waited_s + 2))
done

trap '' INT TERM
left=$(printf '%s\n' "$old" | paste -s -d ' ' -)
for id in $old; do
  if ! docker stop --time 90 "$id" >/dev/null || ! docker rm "$id" >/dev/null; then
    echo "roll: $id was not stopped; the new workers run, and so do the old ones that are left. Stop these yourself:" >&2
    echo "roll: docker stop --time 90 $left; docker rm $left" >&2
    exit 1
  fi
  left=${left#"$id"}
  left=${left# }
  echo "roll: $id stopped"
done
echo "roll: $count new workers, all healthy"
