# The mesh beside vLLM, for the role inference on NVIDIA GPUs. docker-compose.yml builds it with the context of the repository.
# docs/engines.md names the versions of vLLM that were seen running.
ARG VLLM_IMAGE=vllm/vllm-openai:v0.11.0

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${VLLM_IMAGE}
# vLLM asks for the name of its user, and compiles into its home.
RUN useradd --uid 10001 --user-group --home-dir /var/lib/inference-mesh/home --shell /usr/sbin/nologin inference-mesh \
  && install -d -o inference-mesh -g inference-mesh -m 700 /var/lib/inference-mesh /var/lib/inference-mesh/home \
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
RUN touch node_modules/.package-lock.json && MESH_DATA_DIR=/tmp/mesh sh bin/node.sh services/main.ts --check-config >/dev/null
USER 10001:10001
WORKDIR /var/lib/inference-mesh
EXPOSE 7004 9090
ENTRYPOINT ["sh", "/app/bin/node.sh", "/app/services/main.ts"]
