// The routes of the fake llama-server, in the real one's forms.
import type { FakeState } from '../kit/engine-state.ts';
import type { FaultScript } from '../kit/fault-script.ts';
import { countGeneration, type FakeExchange, type FakeRoute } from '../kit/http-server.ts';
import { embeddingsRoute, openAiRoutes } from '../kit/openai-server.ts';
import { streamTokens } from '../kit/token-stream.ts';
import { completionForm, PROMPT_TOKENS } from './completion.ts';

/** How this server was started. */
export interface LlamaServer {
  readonly script: FaultScript;
  readonly state: FakeState;
  readonly model: string;
  readonly slots: number;
  /** Of one slot. */
  readonly contextTokens: number;
  readonly metrics: boolean;
  readonly embeds: boolean;
  /** Whether vectors of tokens become one. */
  readonly pools: boolean;
  /** Whether its template knows tools. */
  readonly tools: boolean;
}

const STREAM_ERROR = { error: { code: 500, message: 'Compute error at /models/secret.gguf', type: 'server_error' } };

/** Fields that must be numbers. */
const NUMBERS = new Set(['temperature', 'mirostat', 'repeat_penalty']);

/** All of them. */
export function llamaServerRoutes(server: LlamaServer): Readonly<Record<string, FakeRoute>> {
  const { state, model, contextTokens, slots, embeds, pools, tools } = server;
  const openAi = openAiRoutes({
    ...server,
    billsEachChoice: true,
    streamError: STREAM_ERROR,
    refuse: (exchange) => refuses(server, exchange),
  });
  return {
    ...openAi,
    // Tools that its template does not know are dropped.
    'POST /v1/chat/completions': ({ body, ...exchange }) =>
      openAi['POST /v1/chat/completions']?.({ ...exchange, body: tools ? body : { ...body, tools: undefined } }),
    'GET /health': ({ reply }) => reply(200, { status: 'ok' }),
    'GET /v1/models': ({ reply }) =>
      reply(200, {
        object: 'list',
        data: [{ id: model, object: 'model', owned_by: 'llamacpp', meta: { n_ctx_train: 8192 } }],
      }),
    'GET /props': ({ reply }) =>
      reply(200, {
        default_generation_settings: { n_ctx: contextTokens },
        total_slots: slots,
        model_path: model,
        chat_template_caps: { supports_system_role: true, supports_tools: tools, supports_tool_calls: tools },
      }),
    'GET /metrics': ({ reply }) =>
      server.metrics ? reply(200, metricsText(state)) : reply(501, notSupported('metrics endpoint', '--metrics')),
    'GET /slots': ({ reply }) =>
      reply(
        200,
        Array.from({ length: slots }, (_, id) => ({ id, n_ctx: contextTokens, is_processing: id < state.running })),
      ),
    'POST /tokenize': ({ body, reply }) => {
      const words = String(body.content).match(/\s*\S+/g) ?? [];
      const start = body.add_special === true ? [1] : [];
      reply(200, { tokens: [...start, ...words.map((_, index) => 100 + index)] });
    },
    'POST /apply-template': ({ body, reply }) => {
      const messages = body.messages as { role: string; content: string }[];
      reply(200, { prompt: messages.map(({ role, content }) => `<|${role}|> ${content}`).join('\n') });
    },
    'POST /completion': async (exchange) => {
      if (refuses(server, exchange)) return;
      countGeneration(state, exchange);
      state.promptTokens += PROMPT_TOKENS;
      exchange.response.writeHead(200, { 'content-type': 'text/event-stream' });
      const form = completionForm(server.script, exchange.body);
      await streamTokens(exchange.response, { ...server.script, tokens: form.total }, state, {
        ...form,
        error: () => Buffer.from(`data: ${JSON.stringify(STREAM_ERROR)}\n\n`),
      });
    },
    'POST /v1/embeddings': (exchange) => {
      if (!embeds) exchange.reply(501, notSupported('embeddings', '--embeddings'));
      else if (pools) return embeddingsRoute(server)(exchange);
      else refuse(exchange, "Pooling type 'none' is not OAI compatible. Please use a different pooling type");
    },
  };
}

function refuses({ embeds, slots, contextTokens }: LlamaServer, exchange: FakeExchange): boolean {
  const { body, reply } = exchange;
  const choices = Number(body.n_cmpl ?? body.n ?? 1);
  const text = Object.keys(body).find((field) => NUMBERS.has(field) && typeof body[field] === 'string');
  if (embeds) {
    reply(501, {
      error: {
        code: 501,
        message: 'This server does not support completions. Start it without `--embeddings`',
        type: 'not_supported_error',
      },
    });
  } else if (choices > slots) {
    const field = body.n_cmpl === undefined ? 'n' : 'n_cmpl';
    refuse(exchange, `Field '${field}': Value must be between 1 <= value <= ${slots}, but got ${choices}`);
  } else if (text !== undefined) {
    refuse(exchange, `Field '${text}': [json.exception.type_error.302] type must be number, but is string`);
  } else if (JSON.stringify(body.prompt ?? body.messages).includes('very long')) {
    reply(400, {
      error: {
        code: 400,
        message: `request (9000 tokens) exceeds the available context size (${contextTokens} tokens), try increasing it`,
        type: 'exceed_context_size_error',
        n_prompt_tokens: 9000,
        n_ctx: contextTokens,
      },
    });
  } else return false;
  return true;
}

function refuse({ reply }: FakeExchange, message: string): void {
  reply(400, { error: { code: 400, message, type: 'invalid_request_error' } }, { connection: 'close' });
}

function notSupported(what: string, option: string): object {
  const message = `This server does not support ${what}. Start it with \`${option}\``;
  return { error: { code: 501, message, type: 'not_supported_error' } };
}

function metricsText(state: FakeState): string {
  const values = {
    'prompt_tokens_total counter': state.promptTokens,
    'tokens_predicted_total counter': state.generatedTokens,
    'n_decode_total counter': state.step,
    'requests_processing gauge': state.running,
    'requests_deferred gauge': 0,
  };
  return Object.entries(values)
    .map(([name, value]) => `# TYPE llamacpp:${name}\nllamacpp:${name.split(' ')[0]} ${value}\n`)
    .join('');
}
