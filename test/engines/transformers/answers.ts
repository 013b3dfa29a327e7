// A fake `transformers serve`'s generations: chunks without ids and log-probabilities, the bill in the last, no [DONE].
import type { FakeState } from '../kit/engine-state.ts';
import type { FaultScript } from '../kit/fault-script.ts';
import { countGeneration, type FakeExchange } from '../kit/http-server.ts';
import { streamTokens, textOf, tokensOf } from '../kit/token-stream.ts';
import { ignoredFlagsLine } from './texts.ts';

type Body = Readonly<Record<string, unknown>>;

/** What a generation makes when it is not told how much, and when a whole configuration came with it that does not say. */
const DEFAULT_TOKENS = 1_024;
const DEFAULT_CONFIGURED_TOKENS = 20;
const PROMPT_TOKENS = 5;
const CREATED_SECONDS = 1_700_000_000;

const CHAT_FIELDS = new Set(
  `audio chat_template_kwargs frequency_penalty function_call functions generation_config logit_bias logprobs
  max_completion_tokens max_tokens messages metadata modalities model n parallel_tool_calls prediction presence_penalty
  prompt_cache_key reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options
  temperature tool_choice tools top_logprobs top_p user verbosity web_search_options`.split(/\s+/),
);
const TEXT_FIELDS = new Set(
  `best_of echo frequency_penalty generation_config logit_bias logprobs max_tokens model n presence_penalty prompt seed
  stop stream stream_options suffix temperature top_p user`.split(/\s+/),
);

/** What is given with every generation. */
export interface Generating {
  readonly script: FaultScript;
  readonly state: FakeState;
  /** The model that the server is pinned to. */
  readonly pinned: string;
}

/** Answers a generation, or refuses it. */
export async function answerGeneration(exchange: FakeExchange, generating: Generating): Promise<void> {
  const { body, response } = exchange;
  const refusal = refusalOf(exchange, generating.pinned);
  if (refusal) return exchange.reply(refusal.status, { detail: refusal.detail });
  const { script, state } = generating;
  const configured = configurationOf(body);
  const asked = Number(body.max_tokens ?? configured.max_new_tokens ?? DEFAULT_TOKENS);
  if (asked < 1) return exchange.reply(500, 'Internal Server Error');
  sampleOrSay(body, configured);
  const { total, stopped } = untilStop(script, tokensOf(script, asked), body.stop);
  countGeneration(state, exchange);
  state.promptTokens += PROMPT_TOKENS;
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const chunk = (choice: object, rest: object = {}): Buffer => event(envelope(exchange, generating, choice, rest));
  const isChat = exchange.path === '/v1/chat/completions';
  const start = isChat ? chunk({ delta: { role: 'assistant' } }) : Buffer.alloc(0);
  // The number of tokens is decided here, by the stop texts too.
  await streamTokens(response, { ...script, tokens: total }, state, {
    total,
    token: (index, text) =>
      Buffer.concat([...(index === 0 ? [start] : []), ...said(isChat, body, text).map((one) => chunk(one))]),
    tail: () => {
      const calls = isChat && Array.isArray(body.tools) ? [chunk({ delta: { tool_calls: [toolCall(body)] } })] : [];
      const ended = asked <= total && !stopped ? 'length' : 'stop';
      const end = {
        ...(isChat ? { delta: {} } : { text: '' }),
        finish_reason: calls.length > 0 ? 'tool_calls' : ended,
      };
      return Buffer.concat([...calls, chunk(end, { usage: usage(total) })]);
    },
    error: () => event({ error: 'CUDA error: an illegal memory access was encountered' }),
  });
}

function refusalOf({ path, body }: FakeExchange, pinned: string): { status: number; detail: string } | undefined {
  const known = path === '/v1/chat/completions' ? CHAT_FIELDS : TEXT_FIELDS;
  const unexpected = Object.keys(body).filter((field) => !known.has(field));
  if (unexpected.length > 0) return { status: 422, detail: `Unexpected fields in the request: {'${unexpected[0]}'}` };
  if (body.model === pinned) return undefined;
  return { status: 400, detail: `Server is pinned to '${pinned}'; requested '${body.model}'.` };
}

/** What the request puts in the place of the model's own configuration. */
function configurationOf({ generation_config: told }: Body): Body {
  return typeof told === 'string' ? { max_new_tokens: DEFAULT_CONFIGURED_TOKENS, ...JSON.parse(told) } : {};
}

/** The model's own configuration does not sample, and a temperature alone changes nothing about that. */
function sampleOrSay(body: Body, configured: Body): void {
  const flags = ['temperature', 'top_p'].filter((name) => body[name] !== undefined);
  if (configured.do_sample === true || flags.length === 0) return;
  process.stderr.write(`${ignoredFlagsLine(flags)}\n`);
}

/** Stop texts end a generation with the token that completes one; the text is part of the answer. */
function untilStop(script: FaultScript, total: number, stop: unknown): { total: number; stopped: boolean } {
  let text = '';
  for (let index = 0; index < total; index++) {
    text += textOf(script, index);
    if (Array.isArray(stop) && stop.some((one) => text.includes(one))) return { total: index + 1, stopped: true };
  }
  return { total, stopped: false };
}

function said(isChat: boolean, { chat_template_kwargs: options }: Body, text: string): object[] {
  if (text === '') return []; // Half a character: the decoder waits for the rest.
  if (!isChat) return [{ text }];
  const thinks = (options as Body | undefined)?.enable_thinking === true;
  return [{ delta: thinks ? { reasoning_content: text } : { content: text } }];
}

function toolCall({ tools }: Body): object {
  const [first] = tools as { function: { name: string } }[];
  return {
    index: 0,
    id: 'req_tool_call_0',
    type: 'function',
    function: { name: first?.function.name, arguments: '{}' },
  };
}

function envelope({ path }: FakeExchange, { pinned }: Generating, choice: object, rest: object): object {
  const object = path === '/v1/chat/completions' ? 'chat.completion.chunk' : 'text_completion';
  const model = pinned.includes('@') ? pinned : `${pinned}@main`;
  const fingerprint = path === '/v1/chat/completions' ? { system_fingerprint: '' } : {};
  const choices = [{ index: 0, ...choice }];
  return { id: 'req', object, created: CREATED_SECONDS, model, choices, ...fingerprint, ...rest };
}

function usage(tokens: number): object {
  return { prompt_tokens: PROMPT_TOKENS, completion_tokens: tokens, total_tokens: PROMPT_TOKENS + tokens };
}

function event(data: object): Buffer {
  return Buffer.from(`data: ${JSON.stringify(data)}\n\n`);
}
