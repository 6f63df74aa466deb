# The image holds /usr/bin/portico, the shared libraries that it needs, root certificates and nothing else: no shell, no
# package manager.
#
#   docker build -t portico .
#   docker build -t portico --build-arg BORINGSSL_GIT=URL --build-arg BORINGSSL_COMMIT=COMMIT .   (an upstream BoringSSL)
ARG BASE=debian:13-slim

FROM ${BASE} AS build
# Without these two: BoringSSL from Debian's source package. See deploy/install-deps.
ARG BORINGSSL_GIT=
ARG BORINGSSL_COMMIT=
ENV DEPS_CACHE=/deps
WORKDIR /src
COPY deploy/install-deps deploy/
COPY deploy/boringssl deploy/boringssl
RUN deploy/install-deps --build ${BORINGSSL_GIT:+--boringssl-git "$BORINGSSL_GIT" "$BORINGSSL_COMMIT"}
COPY . .
# The time that files in the image carry; nothing else in it depends on when or where it was built. deploy/README.md.
ARG SOURCE_DATE_EPOCH=0
# A new value compiles again, to see that the result is the same.
ARG COMPILE_AGAIN=
# The libraries of Debian are linked in as well, but those whose licence asks for shared ones: smaller than carrying them,
# and an image is replaced as a whole anyway.
RUN cmake -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DTESTS=OFF -DDEPS_STATIC=ON \
      "-DBORINGSSL_ROOT=/deps/boringssl-${BORINGSSL_COMMIT:-r45}" \
 && cmake --build /build \
 && cmake --install /build --prefix /usr --strip \
 && deploy/image-root /usr/bin/portico /image

FROM scratch
LABEL org.opencontainers.image.title="Portico" \
      org.opencontainers.image.description="Reverse proxy with automatic TLS, as a sidecar" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
# The image's own user, with any group; or any user that is in group 0: platforms that pick a user id do that. No file
# capability is needed: container engines let every user bind ports 80 and 443 (net.ipv4.ip_unprivileged_port_start=0).
USER 65532:0
VOLUME /var/lib/portico
EXPOSE 80 443
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/bin/portico", "healthcheck"]
ENTRYPOINT ["/usr/bin/portico"]
