import { z } from 'zod';
import type { Answer } from '../http/endpoint.ts';

const schema = z.object({
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  version: z.string(),
  model: z.string().nullable().describe('The default model.'),
  backend: z.string().nullable().describe('The kind of its engine, e.g. `llama.cpp` or `vllm`.'),
  model_loaded: z.boolean(),
  available_models: z.array(z.string()),
  redis_connected: z.boolean().describe('Whether the store answers, also the embedded one.'),
  store: z.enum(['sqlite', 'redis']),
  vllm_status: z.enum(['connected', 'disconnected', 'not_configured']),
  backends: z
    .record(z.string(), z.array(z.string()))
    .describe('Where the healthy engines of each name are, e.g. `embedded:llama.cpp`.'),
});

const healthy = {
  status: 'healthy',
  version: '0.1.0',
  model: 'Qwen/Qwen2.5-0.5B-Instruct-GGUF',
  backend: 'llama.cpp',
  model_loaded: true,
  available_models: ['Qwen/Qwen2.5-0.5B-Instruct-GGUF'],
  redis_connected: true,
  store: 'sqlite',
  vllm_status: 'not_configured',
  backends: { chat: ['embedded:llama.cpp'] },
};

const unhealthy = {
  ...healthy,
  status: 'unhealthy',
  model_loaded: false,
  available_models: [],
  backends: { chat: [] },
};

/** What `GET /health` answers. */
export const healthAnswers: Readonly<Record<number, Answer>> = {
  200: { description: '`healthy` or `degraded`.', json: { name: 'Health', schema, example: healthy } },
  503: { description: '`unhealthy`.', json: { name: 'Health', schema, example: unhealthy } },
};
