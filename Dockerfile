# syntax=docker/dockerfile:1

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS TARGETARCH
# Pure Go, so it is cross-compiled instead of emulated for another architecture.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X pombo.Version=$VERSION" -o /out/pombo ./cmd/pombo \
    && mkdir /out/data

# Holds CA certificates, time zones and the user 65532, and no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/pombo /usr/local/bin/pombo
COPY LICENSE NOTICE /usr/share/doc/pombo/
# A new volume takes the owner and mode of the folder that it covers. A folder
# of the host mounted here must belong to 65532 instead.
COPY --from=build --chown=65532:65532 --chmod=700 /out/data /data
ENV POMBO_DATA_DIR=/data
VOLUME /data
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --start-interval=1s CMD ["/usr/local/bin/pombo", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/pombo"]
CMD ["serve"]
