# One image with the three programs (one static file with three names), the list of their parts (SBOM) and the CA
# certificates, nothing else.
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t registry.example.com/saker .
#   make image        (without a Docker engine, from what is built here)

FROM docker.io/library/rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang libbpf-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    target=$(rustc -vV | sed -n 's/^host: //p') \
    && tools/static.sh "$target" \
    && cp -r "target/$target/programs" /out \
    && tools/sbom.sh "$target" >/out/sbom.cdx.json

FROM scratch
LABEL org.opencontainers.image.title="Saker" \
      org.opencontainers.image.description="Runtime threat detection that speaks Falco's rule language" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /
# The agent's DaemonSet asks for root and four capabilities; everything else runs without any right.
USER 65532:65532
ENTRYPOINT ["/saker"]
CMD ["--help"]
