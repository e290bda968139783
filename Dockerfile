# tapdeck in a container. Build: docker build -t tapdeck .    (also podman, buildah; amd64 and arm64)
# Run:   examples/compose.yaml, or with a folder of yours that 10001:10001 may write to:
#   docker run --network host --read-only --cap-drop ALL --stop-timeout 40 -v recordings:/var/lib/tapdeck tapdeck
#
# Both stages stand on the same Debian, so the environment that the first makes fits the second. Pin it where a build
# must be repeatable: --build-arg BASE=debian@sha256:...
ARG BASE=debian:bookworm-slim

# ---- build: the packages of the lock, each by its hash; our wheel; an environment of both
FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && python3 -m venv /build
WORKDIR /source
COPY requirements.lock ./
RUN /build/bin/pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: \
        --require-hashes --requirement requirements.lock --dest /wheels
COPY pyproject.toml LICENSE ./
COPY receiver receiver
# From here on nothing comes from the network. The environment gets what tapdeck leans on, not what builds it, and no
# pip. Its bytecode is made now, because nothing may be written later, and is not compared with the sources' dates.
# What packages bring for their own tests and for type checkers stays behind: a tenth of the image.
RUN /build/bin/pip install --quiet --no-index --find-links /wheels hatchling \
    && /build/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python3 -m venv --without-pip /opt/tapdeck \
    && /build/bin/pip --python /opt/tapdeck/bin/python install --quiet --no-index --find-links /wheels \
        --no-compile tapdeck \
    && find /opt/tapdeck/lib \( -type d -name tests -o -name '*.pyi' -o -name '*.pxd' \) -prune -exec rm -rf {} + \
    && /opt/tapdeck/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/tapdeck/lib

# ---- the image
FROM ${BASE}
# Numbers, so that a host can give a folder to them, and "must not run as root" can be checked without a list of users.
# The jobs that pick recordings up are members of the group.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 10001 tapdeck \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /var/lib/tapdeck \
        --shell /usr/sbin/nologin tapdeck \
    && install --directory --owner 10001 --group 10001 --mode 0750 /var/lib/tapdeck
COPY --from=build /opt/tapdeck /opt/tapdeck

ENV PATH=/opt/tapdeck/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1

# The only place that is written to: no /tmp, no home is needed beside it.
VOLUME /var/lib/tapdeck

# The API. It listens on loopback, that of the host with --network host; elsewhere it wants a token
# (TAPDECK_HTTP__LISTEN, TAPDECK_HTTP__TOKEN_FILE). The taps' UDP ports, 20000-29999 ([media].ports), are not listed: it
# would be 10,000 rows in the image, and `docker run -P` would make a forwarding of each.
EXPOSE 8080/tcp

LABEL org.opencontainers.image.title="tapdeck" \
      org.opencontainers.image.description="Records call taps: every sample at its true place, one WAV per tap" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"

USER 10001:10001
WORKDIR /var/lib/tapdeck
# SIGTERM finishes all recordings within [daemon].stop_timeout_s, 25 s: give the engine more patience than that.
STOPSIGNAL SIGTERM
# Not ready is also a relay that refuses the token. Recordings go on then: nobody should end the container for it alone.
HEALTHCHECK --interval=10s --timeout=8s --start-period=20s --retries=3 CMD ["tapdeck", "health"]
ENTRYPOINT ["tapdeck"]
CMD ["run"]
