# One image with the three programs, nothing else in it: static binaries and the CA certificates.
#
#   docker build -t saker .        (or: buildah bud -t saker .)

FROM docker.io/library/rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang libbpf-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# With a target of its own, crt-static does not reach procedural macros and build scripts, which must be dynamic.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    target=$(rustc -vV | sed -n 's/^host: //p') \
    && RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$target" --bins \
    && install -D -t /out "target/$target/release/saker-agent" "target/$target/release/saker-operator" \
        "target/$target/release/saker"

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
