# The mesh: all roles, with the embedded engine on the CPU. Build from the root: docker build -f deploy/docker/mesh.Dockerfile .
# The Node.js that it runs on comes with the packages; this one only installs them.
FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
# 620 MB of llama.cpp for GPUs, which this image does not see.
RUN rm -rf node_modules/@node-llama-cpp/*cuda* node_modules/@node-llama-cpp/*vulkan*

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libgomp1 && rm -rf /var/lib/apt/lists/*
# A volume that is new takes over owner and mode of the directory that it covers.
RUN useradd --uid 10001 --user-group --home-dir /var/lib/inference-mesh --shell /usr/sbin/nologin inference-mesh \
  && install -d -o inference-mesh -g inference-mesh -m 700 /var/lib/inference-mesh \
  && install -d -o inference-mesh -g inference-mesh -m 750 /var/log/llm-api
WORKDIR /app
COPY package.json package-lock.json ./
COPY --from=packages /app/node_modules node_modules
COPY bin bin
COPY gen gen
COPY proto proto
COPY models models
COPY services services
ENV NODE_COMPILE_CACHE=/app/node_modules/.cache/node
# bin/node.sh takes packages that are older than the lockfile for missing. The start rolls the mesh up and fills the cache of compiled code.
RUN touch node_modules/.package-lock.json && MESH_DATA_DIR=/tmp/mesh sh bin/node.sh services/main.ts --check-config >/dev/null
USER 10001:10001
# Every process of the mesh reads `.env` of its working directory; here there is none.
WORKDIR /var/lib/inference-mesh
EXPOSE 8000 7001 7002 7003 7004 7005 9090
ENTRYPOINT ["sh", "/app/bin/node.sh", "/app/services/main.ts"]
