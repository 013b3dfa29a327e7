// The OpenAI routes of a fake engine, with the fields that an engine adds to them.
import type { FakeState } from './engine-state.ts';
import type { FaultScript } from './fault-script.ts';
import { countGeneration, type FakeExchange, type FakeRoute } from './http-server.ts';
import { streamTokens, tokensOf } from './token-stream.ts';

/** What differs between the engines that speak it. */
export interface OpenAiRoutes {
  readonly script: FaultScript;
  readonly state: FakeState;
  /** The model's name in every answer. */
  readonly model: string;
  /** What a body with an error means; answers by itself and returns true for one that the engine refuses. */
  readonly refuse?: (exchange: FakeExchange) => boolean;
  /** The error inside a stream. */
  readonly streamError: object;
  /** Whether each choice has a bill of its own behind its end. Default: one bill for all in the end. */
  readonly billsEachChoice?: boolean;
}

type Body = Readonly<Record<string, unknown>>;

const DEFAULT_TOKENS = 8;
const PROMPT_TOKENS = 5;
const CREATED_SECONDS = 1_700_000_000;

/** The routes for text and chat, streaming as the mesh always does. */
export function openAiRoutes(options: OpenAiRoutes): Readonly<Record<string, FakeRoute>> {
  const generate = (exchange: FakeExchange): Promise<void> | void => {
    if (options.refuse?.(exchange)) return;
    return answer(options, exchange);
  };
  return { 'POST /v1/completions': generate, 'POST /v1/chat/completions': generate };
}

/** The vector of a text: its length and its place, so that tests can tell them apart. */
export function fakeVector(input: unknown, dimensions = 4): number[] {
  const length = typeof input === 'string' || Array.isArray(input) ? input.length : 0;
  return Array.from({ length: dimensions }, (_, index) => length + index / 8);
}

/** /v1/embeddings, floats or base64 as asked. */
export function embeddingsRoute({ state, model }: Pick<OpenAiRoutes, 'state' | 'model'>): FakeRoute {
  return (exchange) => {
    const { body } = exchange;
    state.last = { path: exchange.path, headers: exchange.headers, body };
    const inputs = isList(body.input) ? body.input : [body.input];
    const data = inputs.map((input, index) => {
      const vector = fakeVector(input, Number(body.dimensions ?? 4));
      const bytes = Buffer.from(Float32Array.from(vector).buffer).toString('base64');
      return { object: 'embedding', index, embedding: body.encoding_format === 'base64' ? bytes : vector };
    });
    const promptTokens = inputs.length * PROMPT_TOKENS;
    exchange.reply(200, {
      id: 'embd-1',
      object: 'list',
      created: CREATED_SECONDS,
      model,
      data,
      usage: { prompt_tokens: promptTokens, total_tokens: promptTokens, completion_tokens: 0 },
    });
  };
}

/** Several inputs; one prompt of token ids is an array too. */
function isList(input: unknown): input is unknown[] {
  return Array.isArray(input) && typeof input[0] !== 'number';
}

async function answer(options: OpenAiRoutes, exchange: FakeExchange): Promise<void> {
  const { script, state } = options;
  const { body, response } = exchange;
  const isChat = exchange.path === '/v1/chat/completions';
  const choices = Number(body.n ?? 1);
  const total = tokensOf(script, Number(body.max_tokens ?? DEFAULT_TOKENS));
  countGeneration(state, exchange);
  state.promptTokens += PROMPT_TOKENS;
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const told = (tokens: number): object | undefined =>
    wantsUsage(body, 'continuous_usage_stats') ? usage(tokens) : undefined;
  const chunk = (choice: object, tokens: number): Buffer =>
    sseEvent(envelope(options, isChat, { choices: [choice], usage: told(tokens) }));
  const role = (index: number): Buffer =>
    chunk({ index, delta: { role: 'assistant', content: '' }, finish_reason: null }, 0);
  await streamTokens(response, script, state, {
    total,
    token: (at, text) => {
      const parts = isChat && at === 0 ? range(choices).map(role) : [];
      for (const index of range(choices)) parts.push(chunk(tokenChoice(exchange, { index, at, text }), at + 1));
      return Buffer.concat(parts);
    },
    tail: () => {
      const ends = range(choices).map((index) => chunk(finishChoice(exchange, index, total), total));
      const bill = (tokens: number): Buffer[] =>
        wantsUsage(body, 'include_usage')
          ? [sseEvent(envelope(options, isChat, { choices: [], usage: usage(tokens) }))]
          : [];
      const parts = options.billsEachChoice
        ? ends.flatMap((end) => [end, ...bill(total)])
        : [...ends, ...bill(total * choices)];
      return Buffer.concat([...parts, Buffer.from('data: [DONE]\n\n')]);
    },
    error: () => Buffer.concat([sseEvent(options.streamError), Buffer.from('data: [DONE]\n\n')]),
  });
}

function tokenChoice(
  { path, body }: FakeExchange,
  { index, at, text }: { readonly index: number; readonly at: number; readonly text: string },
): object {
  const thinks = Boolean((body.chat_template_kwargs as Body | undefined)?.enable_thinking);
  const calls = Array.isArray(body.tools) && body.tool_choice !== 'none';
  const delta = calls
    ? { tool_calls: [openAiToolCall(body, at, text)] }
    : { [thinks ? 'reasoning_content' : 'content']: text };
  return {
    index,
    ...(path === '/v1/chat/completions' ? { delta } : { text }),
    logprobs: openAiLogprobs(body, at, [text]),
    finish_reason: null,
  };
}

/** A fragment of the call of the first tool; the one at 0 has its name. */
export function openAiToolCall({ tools }: Body, at: number, text: string): object {
  const [first] = tools as { function: { name: string } }[];
  const begin = { id: 'chatcmpl-tool-1', type: 'function', index: 0 };
  return at === 0
    ? { ...begin, function: { name: first?.function.name, arguments: text } }
    : { index: 0, function: { arguments: text } };
}

/** The log-probabilities of tokens in the form of a chat or, where `logprobs` is a number, of completions. */
export function openAiLogprobs(body: Body, at: number, texts: readonly string[]): object | null {
  if (body.logprobs === true) {
    const top = range(Number(body.top_logprobs ?? 0)).map((rank) => ({
      token: `alt${rank}`,
      logprob: -1 - rank,
      bytes: [97],
    }));
    return {
      content: texts.map((token) => ({ token, logprob: -0.5, bytes: [...Buffer.from(token)], top_logprobs: top })),
    };
  }
  if (typeof body.logprobs !== 'number') return null;
  const top = Object.fromEntries(range(body.logprobs).map((rank) => [`alt${rank}`, -1 - rank]));
  return {
    text_offset: texts.map((_, index) => at + index),
    token_logprobs: texts.map(() => -0.5),
    tokens: texts,
    top_logprobs: texts.map((token) => ({ [token]: -0.5, ...top })),
  };
}

function finishChoice({ body, path }: FakeExchange, index: number, total: number): object {
  const calls = Array.isArray(body.tools) && body.tool_choice !== 'none';
  const reason = calls ? 'tool_calls' : Number(body.max_tokens) === total ? 'length' : 'stop';
  return {
    index,
    ...(path === '/v1/chat/completions' ? { delta: {} } : { text: '' }),
    logprobs: null,
    finish_reason: reason,
  };
}

function envelope({ model }: OpenAiRoutes, isChat: boolean, rest: object): object {
  return {
    id: isChat ? 'chatcmpl-1' : 'cmpl-1',
    object: isChat ? 'chat.completion.chunk' : 'text_completion',
    created: CREATED_SECONDS,
    model,
    ...rest,
  };
}

function usage(completionTokens: number): object {
  return {
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens: completionTokens,
    total_tokens: PROMPT_TOKENS + completionTokens,
    prompt_tokens_details: { cached_tokens: 2 },
  };
}

function wantsUsage({ stream_options: options }: Body, field: string): boolean {
  return Boolean((options as Body | undefined)?.[field]);
}

/** One event of a stream. */
export function sseEvent(data: object): Buffer {
  return Buffer.from(`data: ${JSON.stringify(data)}\n\n`);
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}
