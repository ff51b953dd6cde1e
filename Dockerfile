# syntax=docker/dockerfile:1

# The image of a Toril worker. Your updates come in as /app/updates.mjs: mounted, or copied in an
# image of your own (FROM this one). See docs/deployment.md.
ARG NODE_VERSION=22
FROM node:${NODE_VERSION}-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./

# Not npm ci: see scripts/install.mjs. No dependency needs its install script here, nor the bench's packages.
FROM base AS build
RUN npm install --no-save --workspaces=false --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY scripts/package ./scripts/package
RUN npx tsc -p tsconfig.build.json && node --import tsx scripts/package/build.ts

FROM base AS dependencies
RUN npm install --no-save --omit=dev --workspaces=false --ignore-scripts --no-audit --no-fund

FROM base AS runtime
ENV NODE_ENV=production
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY scripts/container-health.mjs ./scripts/

# Every worker answers probes and metrics there, and the health check asks it.
ENV TORIL_HTTP=0.0.0.0:9464
EXPOSE 9464

# A user that comes with the image and may write nothing below /app.
USER node
# The exec form, so that SIGTERM reaches the worker, which then finishes what it holds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["worker", "--updates", "/app/updates.mjs"]
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 \
  CMD ["node", "/app/scripts/container-health.mjs"]
