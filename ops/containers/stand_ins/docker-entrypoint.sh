#!/bin/sh
# Like redis:8's: drops root before it starts redis-server, and loads search and JSON.
set -e
if [ "$1" = redis-server ]; then
  shift
  set -- redis-server "$@" --loadmodule /usr/local/lib/redis/modules/redisearch.so \
    --loadmodule /usr/local/lib/redis/modules/rejson.so
  if [ "$(id -u)" = 0 ]; then
    chown -R redis:redis /data
    exec setpriv --reuid=redis --regid=redis --clear-groups -- "$@"
  fi
fi
exec "$@"
