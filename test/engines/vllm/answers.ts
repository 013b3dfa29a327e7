// The fake vLLM's generations, in the form of version 0.32.
import type { FakeExchange, FakeRoute } from '../kit/http-server.ts';
import { countGeneration } from '../kit/http-server.ts';
import { openAiLogprobs, openAiToolCall, sseEvent } from '../kit/openai-server.ts';
import { streamTokens } from '../kit/token-stream.ts';
import { refusedByEngine, refusedByServer } from './refusals.ts';
import type { VllmServer } from './server.ts';

type Body = Readonly<Record<string, unknown>>;

/** What `/v1/completions` makes when it is not told how much, however long the context is. */
const DEFAULT_TEXT_TOKENS = 16;
/** Where a chat ends by itself when the script does not say. */
const DEFAULT_CHAT_TOKENS = 8;
const PROMPT_TOKENS = 5;
const CREATED_SECONDS = 1_700_000_000;
const FIRST_ID = 1_000;

const STREAM_ERROR = {
  error: {
    message: 'EngineCore encountered an issue. See stack trace (above) for the root cause.',
    type: 'InternalServerError',
    param: null,
    code: 500,
  },
};
const DONE = Buffer.from('data: [DONE]\n\n');

/** The routes for text and chat, streaming as the mesh always does. */
export function generationRoutes(server: VllmServer, contextTokens: number): Readonly<Record<string, FakeRoute>> {
  const generate = async (exchange: FakeExchange): Promise<void> => {
    const { response, body } = exchange;
    if (refusedByServer(server, contextTokens, exchange)) return;
    // The engine is behind the answer's head.
    const refusal = refusedByEngine(server, body);
    if (!refusal) return await answer(server, contextTokens, exchange);
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.end(Buffer.concat([sseEvent({ error: refusal }), DONE]));
  };
  return { 'POST /v1/completions': generate, 'POST /v1/chat/completions': generate };
}

async function answer(server: VllmServer, contextTokens: number, exchange: FakeExchange): Promise<void> {
  const { script, state } = server;
  const { body, response } = exchange;
  const choices = Array.from({ length: Number(body.n ?? 1) }, (_, index) => index);
  const { total, reason } = endOf(server, contextTokens, exchange);
  const perChunk = script.tokensPerChunk ?? 1;
  countGeneration(state, exchange);
  state.promptTokens += PROMPT_TOKENS;
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  let texts: string[] = [];
  const shown = shownText(body);
  await streamTokens(response, { ...script, tokens: total }, state, {
    total,
    token: (at, text) => {
      texts.push(text);
      const role = at === 0 ? choices.map((index) => roleChunk(server, exchange, index)) : [];
      if ((at + 1) % perChunk !== 0 && at + 1 < total) return Buffer.concat(role);
      const end = at + 1 === total ? reason : undefined;
      const tokens = { texts, shown: shown(texts.join(''), end !== undefined), first: at + 1 - texts.length, end };
      texts = [];
      return Buffer.concat([...role, ...choices.map((index) => tokenChunk(server, exchange, index, tokens))]);
    },
    tail: () => {
      const details = server.args.has('--enable-prompt-tokens-details')
        ? { prompt_tokens_details: { cached_tokens: 2 } }
        : {};
      const bill = chunk(server, exchange, [], {
        usage: { ...usage(total * choices.length), ...details },
        system_fingerprint: 'vllm-0.32.0-1012a9af',
      });
      return Buffer.concat(wantsUsage(body, 'include_usage') ? [bill, DONE] : [DONE]);
    },
    error: () => Buffer.concat([sseEvent(STREAM_ERROR), DONE]),
  });
}

/** The script's end or the request's, whichever comes first; a limit beyond the context is clipped to it. */
function endOf(
  { script }: VllmServer,
  contextTokens: number,
  { path, body }: FakeExchange,
): { total: number; reason: object } {
  const isChat = path === '/v1/chat/completions';
  const asked = Number(body.max_tokens ?? (isChat ? contextTokens : DEFAULT_TEXT_TOKENS));
  const limit = Math.min(asked, contextTokens - PROMPT_TOKENS);
  const ownEnd = script.tokens ?? (isChat && body.max_tokens === undefined ? DEFAULT_CHAT_TOKENS : limit);
  const total = Math.min(ownEnd, limit);
  if (calls(body)) return { total, reason: { finish_reason: 'tool_calls' } };
  if (Array.isArray(body.stop)) return { total, reason: { finish_reason: 'stop', stop_reason: body.stop[0] } };
  return { total, reason: { finish_reason: total === limit ? 'length' : 'stop' } };
}

/** Stop texts keep the end of the text back until more or nothing follows: one character less than the longest has. */
function shownText({ stop, include_stop_str_in_output: isShown }: Body): (text: string, isEnd: boolean) => string {
  const stops = Array.isArray(stop) && !isShown ? stop.map(String) : [];
  const heldCharacters = Math.max(0, ...stops.map((one) => [...one].length - 1));
  let held: string[] = [];
  return (text, isEnd) => {
    held.push(...text);
    const told = held.slice(0, isEnd ? held.length : Math.max(0, held.length - heldCharacters));
    held = held.slice(told.length);
    return told.join('');
  };
}

function roleChunk(server: VllmServer, exchange: FakeExchange, index: number): Buffer {
  if (exchange.path !== '/v1/chat/completions') return Buffer.alloc(0);
  const choice = { index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null };
  return chunk(server, exchange, [choice], { ...soFar(exchange.body, 0), prompt_token_ids: null, prompt_text: null });
}

interface ChunkTokens {
  readonly texts: readonly string[];
  /** What of the text so far is told with them. */
  readonly shown: string;
  /** The place of the first one in its choice. */
  readonly first: number;
  /** With the last token: how the choice ends. */
  readonly end: object | undefined;
}

function tokenChunk(server: VllmServer, exchange: FakeExchange, index: number, tokens: ChunkTokens): Buffer {
  const { body, path } = exchange;
  const { texts, first, end } = tokens;
  const text = tokens.shown;
  const thinks = Boolean((body.chat_template_kwargs as Body | undefined)?.enable_thinking);
  const delta = calls(body)
    ? { tool_calls: [openAiToolCall(body, first, text)] }
    : { [thinks ? 'reasoning' : 'content']: text };
  const choice = {
    index,
    ...(path === '/v1/chat/completions' ? { delta } : { text }),
    logprobs: openAiLogprobs(body, first, texts),
    finish_reason: null,
    stop_reason: null,
    token_ids: body.return_token_ids ? texts.map((_, at) => FIRST_ID + first + at) : null,
    ...end,
  };
  // A chunk counts its own choice; with several, only the last one counts all.
  return chunk(server, exchange, [choice], soFar(body, first + texts.length));
}

function calls({ tools, tool_choice: choice }: Body): boolean {
  return Array.isArray(tools) && choice !== 'none';
}

function soFar(body: Body, tokens: number): object {
  return wantsUsage(body, 'continuous_usage_stats') ? { usage: usage(tokens) } : {};
}

function chunk({ model }: VllmServer, { path, headers }: FakeExchange, choices: object[], rest: object): Buffer {
  const isChat = path === '/v1/chat/completions';
  return sseEvent({
    id: `${isChat ? 'chatcmpl' : 'cmpl'}-${headers['x-request-id'] ?? '1'}`,
    object: isChat ? 'chat.completion.chunk' : 'text_completion',
    created: CREATED_SECONDS,
    model,
    choices,
    ...rest,
  });
}

function usage(completionTokens: number): object {
  return {
    prompt_tokens: PROMPT_TOKENS,
    total_tokens: PROMPT_TOKENS + completionTokens,
    completion_tokens: completionTokens,
  };
}

function wantsUsage({ stream_options: options }: Body, field: string): boolean {
  return Boolean((options as Body | undefined)?.[field]);
}
