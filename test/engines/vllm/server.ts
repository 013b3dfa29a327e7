// The routes of the fake vLLM.
import type { Arguments } from '../kit/arguments.ts';
import type { FakeState } from '../kit/engine-state.ts';
import type { FaultScript } from '../kit/fault-script.ts';
import type { FakeExchange, FakeRoute } from '../kit/http-server.ts';
import { embeddingsRoute } from '../kit/openai-server.ts';
import { generationRoutes } from './answers.ts';

const CONTEXT_TOKENS = 4_096;
const CACHE_TOKENS = 64_000;

/** Every route of `vllm serve MODEL`, generating or pooling. */
export function vllmRoutes(options: VllmServer): Readonly<Record<string, FakeRoute>> {
  const { state, model, args } = options;
  const context = Number(args.value('--max-model-len') ?? CONTEXT_TOKENS);
  const work =
    args.value('--runner') === 'pooling'
      ? { 'POST /v1/embeddings': embeddingsRoute({ state, model }) }
      : generationRoutes(options, context);
  return {
    ...work,
    // A flag that the engine died; it hangs as well behind a 200.
    'GET /health': ({ reply }) => reply(200, ''),
    'GET /version': ({ reply }) => reply(200, { version: '0.32.0' }),
    'GET /v1/models': ({ reply }) => {
      const id = options.script.wrongModel ?? model;
      reply(200, {
        object: 'list',
        data: [{ id, object: 'model', owned_by: 'vllm', root: id, max_model_len: context }],
      });
    },
    'GET /metrics': ({ reply }) => reply(200, metricsText(state, model)),
    'POST /tokenize': ({ body, reply }) => {
      const text = typeof body.prompt === 'string' ? body.prompt : JSON.stringify(body.messages);
      const tokens = text.split(' ').map((_, index) => index + 1);
      reply(200, { count: tokens.length, max_model_len: context, tokens, token_strs: null });
    },
  };
}

/** What the routes know. */
export interface VllmServer {
  readonly script: FaultScript;
  readonly state: FakeState;
  readonly args: Arguments;
  /** The name that it serves the model under. */
  readonly model: string;
}

/** Only /v1 is behind the key, as in the real one. */
export function refusesKey(key: string | undefined, { path, headers, reply }: FakeExchange): boolean {
  if (key === undefined || !path.startsWith('/v1') || headers.authorization === `Bearer ${key}`) return false;
  reply(401, { error: 'Unauthorized' });
  return true;
}

/** Prometheus' text of the newest version; the names of 0.9 are tested without a server. */
function metricsText(state: FakeState, model: string): string {
  const labels = `{engine="0",model_name="${model}"}`;
  return [
    '# HELP vllm:num_requests_running Number of requests in model execution batches.',
    '# TYPE vllm:num_requests_running gauge',
    `vllm:num_requests_running${labels} ${state.running}.0`,
    `vllm:num_requests_waiting${labels} 0.0`,
    `vllm:kv_cache_usage_perc${labels} ${state.generatedTokens / CACHE_TOKENS}`,
    `vllm:prompt_tokens_total${labels} ${state.promptTokens}.0`,
    `vllm:prompt_tokens_created${labels} 1.7e+09`,
    `vllm:generation_tokens_total${labels} ${state.generatedTokens}.0`,
    `vllm:iteration_tokens_total_bucket{engine="0",le="+Inf",model_name="${model}"} ${state.step}.0`,
    `vllm:iteration_tokens_total_count${labels} ${state.step}.0`,
    '',
  ].join('\n');
}
