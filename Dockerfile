# docker build -t bellpull . && docker run -p 8000:8000 -v hub:/var/lib/bellpull bellpull
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin bellpull --no-default-features && \
    cp target/release/bellpull /bellpull && strip /bellpull && \
    mkdir /hub

# Nothing but the C library: no shell, not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /bellpull /usr/bin/bellpull
COPY --from=build --chown=nonroot:nonroot /hub /var/lib/bellpull
ENV BELLPULL_LISTEN=0.0.0.0:8000 \
    BELLPULL_DATABASE_URL=sqlite:///var/lib/bellpull/hub.db \
    BELLPULL_LOG=json
VOLUME /var/lib/bellpull
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["/usr/bin/bellpull", "check", "--running"]
ENTRYPOINT ["/usr/bin/bellpull"]
CMD ["serve"]
