/** What a chat completion over REST looks like in a mesh of six processes: every process, the engine included, in one trace. */
export const SIX_PROCESSES = `
inference-mesh-facade: POST /v1/chat/completions
  inference-mesh-facade: mesh.auth.v1.AuthService/Authenticate
    inference-mesh-auth: mesh.auth.v1.AuthService/Authenticate
      inference-mesh-auth: redis EVALSHA
  inference-mesh-facade: mesh.router.v1.RouterService/Generate
    inference-mesh-router: mesh.router.v1.RouterService/Generate
      inference-mesh-router: generate
        inference-mesh-router: mesh.auth.v1.AuthService/Authenticate
          inference-mesh-auth: mesh.auth.v1.AuthService/Authenticate
            inference-mesh-auth: redis EVALSHA
        inference-mesh-router: mesh.inference.v1.InferenceService/Generate
          inference-mesh-inference: mesh.inference.v1.InferenceService/Generate
            inference-mesh-inference: chat fake-model
              engine: llm_request
        inference-mesh-router: mesh.quota.v1.QuotaService/Reserve
          inference-mesh-quota: mesh.quota.v1.QuotaService/Reserve
            inference-mesh-quota: redis EVALSHA
        inference-mesh-router: mesh.quota.v1.QuotaService/Settle
          inference-mesh-quota: mesh.quota.v1.QuotaService/Settle
            inference-mesh-quota: redis EVALSHA
`
  .trim()
  .split('\n');

/** The same in one process, on the embedded store. */
export const ONE_PROCESS = `
inference-mesh: POST /v1/chat/completions
  inference-mesh: generate
    inference-mesh: chat fake-model
      engine: llm_request
    inference-mesh: mesh.quota.v1.QuotaService/Reserve
      inference-mesh: sqlite commit
    inference-mesh: mesh.quota.v1.QuotaService/Settle
      inference-mesh: sqlite commit
  inference-mesh: mesh.auth.v1.AuthService/Authenticate
    inference-mesh: sqlite transaction
`
  .trim()
  .split('\n');
