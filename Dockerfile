# docker build -t tidegate .
# docker run -p 8080:8080 -v "$PWD/my-conf:/etc/tidegate:ro" tidegate        my-conf has a tidegate.yaml

FROM debian:12-slim AS build
WORKDIR /src
COPY .ci/packages .ci/packages
RUN sh .ci/packages build
COPY Makefile ./
COPY src src
COPY lua lua
COPY conf conf
RUN make -j"$(nproc)" && make install DESTDIR=/out

FROM debian:12-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates libluajit2-5.1-2 libssl3 libyaml-0-2 libpcre2-8-0 zlib1g libbrotli1 libc-ares2 lua-argparse lua-cjson \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tidegate \
 && install -d -o tidegate -g tidegate /run/tidegate /var/log/tidegate
COPY --from=build /out/usr/local /usr/local
COPY --from=build /src/conf/tidegate.yaml /etc/tidegate/tidegate.yaml
# Wins over gateway.pid_file in the configuration, which lies where this user may not write.
ENV TIDEGATE_GATEWAY__PID_FILE=/run/tidegate/tidegate.pid
USER tidegate
WORKDIR /etc/tidegate
EXPOSE 8080 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["tidegate", "status"]
ENTRYPOINT ["tidegate"]
CMD ["run"]
