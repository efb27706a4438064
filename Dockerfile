# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
# For the vendored OpenSSL of the feature postgres-tls, and for scripts/licences.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make perl python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --features postgres-tls \
    && install -D target/dist/hallpass /out/usr/local/bin/hallpass \
    && install -D -m 644 -t /out/usr/share/doc/hallpass LICENSE-APACHE LICENSE-MIT NOTICE \
    && scripts/licences /out/usr/share/doc/hallpass/licences.txt \
    && mkdir /out/data

# libc and libgcc, without shell and package manager. The user id is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/usr/local/bin/hallpass /usr/local/bin/hallpass
COPY --from=build /out/usr/share/doc/hallpass /usr/share/doc/hallpass
COPY --from=build --chown=65532:65532 /out/data /data
ENV HALLPASS_BIND=0.0.0.0:8000 \
    HALLPASS_DATA_DIR=/data
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["hallpass", "healthcheck"]
ENTRYPOINT ["hallpass"]
CMD ["serve"]
