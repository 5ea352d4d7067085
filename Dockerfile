# syntax=docker/dockerfile:1
# A static binary on nothing: no shell, no package manager, not root. The build
# runs on the machine's own kind of processor, whatever it builds for.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
ARG REVISION=""
ARG GOFIPS140=off
# The same flags as those of the release archives, so that it is the same program.
# timetzdata: scratch has no time zones, and TZ=Europe/Berlin should work.
# nopgxregisterdefaulttypes: 1.4 MB that pgx has for types which are not ours.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOFIPS140=$GOFIPS140 \
    go build -trimpath -buildvcs=false -tags timetzdata,nopgxregisterdefaulttypes \
    -ldflags "-s -w -X main.version=$VERSION -X main.revision=$REVISION" -o /mcp-oauth2-proxy . \
 && mkdir -p /rootfs/etc/ssl/certs /rootfs/var/lib/mcp-oauth2-proxy /rootfs/tmp \
 && cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ \
 && chmod 0700 /rootfs/var/lib/mcp-oauth2-proxy && chmod 1777 /rootfs/tmp

FROM scratch
ARG VERSION=dev
ARG REVISION=""
LABEL org.opencontainers.image.title="mcp-oauth2-proxy" \
      org.opencontainers.image.description="OAuth 2.1 in front of MCP servers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build --chown=65532:65532 /rootfs/ /
COPY --from=build /mcp-oauth2-proxy /mcp-oauth2-proxy
USER 65532:65532
VOLUME /var/lib/mcp-oauth2-proxy
EXPOSE 443 80
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/mcp-oauth2-proxy", "health"]
ENTRYPOINT ["/mcp-oauth2-proxy"]
