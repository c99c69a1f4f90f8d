# docs/OPERATOR.md tells how to run it. The image holds no key and no token: both come with the volumes.
FROM node:26-bookworm AS build
WORKDIR /opt/lattice
COPY package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json ./
RUN npm ci
COPY protocol protocol
COPY runner-child runner-child
COPY supervisor supervisor
# JavaScript, with the child's runner as one file: a service that strips types holds 30 MiB more.
RUN npm run build && npm prune --omit=dev

FROM node:26-bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap tini util-linux \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 900 --user-group --no-create-home --shell /usr/sbin/nologin lattice \
 && install -d -o lattice -g lattice -m 0700 /data /plugins
COPY --from=build /opt/lattice/node_modules /opt/lattice/node_modules
COPY --from=build /opt/lattice/dist /opt/lattice/dist
COPY supervisor/cli/lattice.js /opt/lattice/supervisor/cli/
COPY package.json LICENSE README.md CHANGELOG.md /opt/lattice/
COPY docs /opt/lattice/docs
RUN ln -s /opt/lattice/supervisor/cli/lattice.js /usr/local/bin/lattice
ENV LATTICE_LISTEN=0.0.0.0:8088 \
    LATTICE_DATA_DIR=/data \
    LATTICE_PLUGIN_DIR=/plugins \
    LATTICE_PLUGIN_TRUST=/etc/lattice/trust.json
USER lattice
VOLUME ["/data", "/plugins"]
EXPOSE 8088
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8088/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# tini collects what ended plugins leave behind; it passes SIGTERM on.
ENTRYPOINT ["tini", "--", "node", "--max-semi-space-size=4", "/opt/lattice/supervisor/cli/lattice.js"]
CMD ["serve"]
