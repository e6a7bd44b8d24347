# Stands in for redis:8: the Redis Stack 7.4 that the project runs elsewhere, started as the image starts its own.
FROM sightline-check/debian:bookworm
RUN groupadd --system --gid 999 redis && useradd --system --gid redis --uid 999 redis \
 && apt-get update && apt-get install --yes --no-install-recommends libssl3 libgcc-s1 libgomp1 && rm -rf /var/lib/apt/lists/*
COPY redis/bin/ docker-entrypoint.sh /usr/local/bin/
COPY redis/lib/ /usr/local/lib/redis/modules/
RUN chmod 755 /usr/local/bin/* /usr/local/lib/redis/modules/* && mkdir /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
EXPOSE 6379
CMD ["redis-server"]
