// A fake Ollama's generations: /api/chat and /api/generate as JSON lines.
import type { FakeState } from '../kit/engine-state.ts';
import type { FaultScript } from '../kit/fault-script.ts';
import { countGeneration, type FakeExchange } from '../kit/http-server.ts';
import { streamTokens, tokensOf } from '../kit/token-stream.ts';

type Body = Readonly<Record<string, unknown>>;

const DEFAULT_TOKENS = 8;
const PROMPT_TOKENS = 5;
const NANOSECONDS_PER_TOKEN = 1e7;
const TOKENIZER_CHARACTERS = 4;

/** What is given with every generation. */
export interface Generating {
  readonly script: FaultScript;
  readonly state: FakeState;
  readonly contextTokens: number;
  /** What a prompt that does not fit is answered. */
  readonly tooLong: string;
}

/** Answers a generation, or refuses one that does not fit. */
export async function answerGeneration(
  exchange: FakeExchange,
  { script, state, contextTokens, tooLong }: Generating,
): Promise<void> {
  const { body, path, response } = exchange;
  const options = (body.options ?? {}) as Body;
  const context = Number(options.num_ctx ?? contextTokens);
  if (body.truncate === false && promptTokens(body) > context) {
    return exchange.reply(400, { error: tooLong });
  }
  const asked = Number(options.num_predict ?? DEFAULT_TOKENS);
  const total = tokensOf(script, asked);
  countGeneration(state, exchange);
  state.promptTokens += PROMPT_TOKENS;
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  const line = (fields: object): Buffer =>
    Buffer.from(`${JSON.stringify({ model: body.model, created_at: '2026-08-21T10:00:00Z', ...fields })}\n`);
  const isChat = path === '/api/chat';
  const content = (text: string): object => {
    if (!isChat) return body.think ? { response: '', thinking: text } : { response: text };
    return { message: { role: 'assistant', ...(body.think ? { content: '', thinking: text } : { content: text }) } };
  };
  await streamTokens(response, script, state, {
    total,
    // Half a character makes no line: its token is in the next one.
    token: (_index, text) =>
      text === '' ? Buffer.alloc(0) : line({ ...content(text), done: false, ...logprobs(body, text) }),
    tail: () =>
      Buffer.concat([
        ...toolCalls(body).map((calls) =>
          line({ message: { role: 'assistant', content: '', tool_calls: calls }, done: false }),
        ),
        line({
          ...content(''),
          done: true,
          done_reason: asked === total && options.num_predict !== undefined ? 'length' : 'stop',
          total_duration: total * NANOSECONDS_PER_TOKEN,
          load_duration: 1,
          prompt_eval_count: PROMPT_TOKENS,
          prompt_eval_duration: PROMPT_TOKENS * NANOSECONDS_PER_TOKEN,
          eval_count: total,
          eval_duration: total * NANOSECONDS_PER_TOKEN,
        }),
      ]),
    error: () =>
      Buffer.from(`${JSON.stringify({ error: 'an error was encountered while running the model: unexpected EOF' })}\n`),
  });
}

/** One whole call a line, without an id, all with the same index. */
function toolCalls({ tools }: Body): object[][] {
  if (!Array.isArray(tools)) return [];
  return tools.map(({ function: { name } }) => [{ function: { index: 0, name, arguments: { city: 'Rome' } } }]);
}

function logprobs({ logprobs: asked, top_logprobs: count }: Body, text: string): object {
  if (asked !== true) return {};
  const top = Array.from({ length: Number(count ?? 0) }, (_, rank) => ({ token: `alt${rank}`, logprob: -1 - rank }));
  return {
    logprobs: [{ token: text, logprob: -0.5, bytes: [...Buffer.from(text)], ...(count ? { top_logprobs: top } : {}) }],
  };
}

function promptTokens(body: Body): number {
  return JSON.stringify(body.messages ?? body.prompt ?? '').length / TOKENIZER_CHARACTERS;
}
