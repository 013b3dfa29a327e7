// The two forms in which the fake TGI streams: its own and OpenAI's chat.
import type { TgiError } from './routes.ts';

/** One generation. */
export interface TgiAsked {
  readonly total: number;
  readonly reason: 'length' | 'eos_token' | 'stop_sequence';
  /** Per token. */
  readonly alternatives: number;
  readonly tools: readonly { readonly function: { readonly name: string } }[];
  readonly logprobs: boolean;
  readonly includeUsage: boolean;
  readonly model: string;
}

/** How a generation is written. */
export interface TgiForm {
  readonly total: number;
  readonly token: (index: number, text: string) => Buffer;
  readonly tail: () => Buffer;
  readonly refusal: (error: TgiError) => Buffer;
}

const FIRST_ID = 1_000;
const INPUT_LENGTH = 5;

/** `/generate_stream`: the bill comes with the last token and nothing after it. */
export function nativeForm(asked: TgiAsked): TgiForm {
  const { total, reason } = asked;
  return {
    total,
    token: (index, text) => {
      const last = index === total - 1;
      return event({
        index: index + 1,
        token: token(index, text),
        ...(asked.alternatives > 0 ? { top_tokens: alternatives(asked) } : {}),
        generated_text: last ? 'all of it' : null,
        details: last ? { finish_reason: reason, generated_tokens: total, seed: 42, input_length: INPUT_LENGTH } : null,
      });
    },
    tail: () => Buffer.alloc(0),
    refusal: (error) => event(error),
  };
}

/** `/v1/chat/completions`: errors lose their type and are all 422. */
export function chatForm(asked: TgiAsked): TgiForm {
  const { total, reason } = asked;
  return {
    total,
    token: (index, text) => {
      const finish = reason === 'eos_token' ? 'stop' : reason;
      const choice = {
        index: 0,
        delta: delta(asked, index, text),
        logprobs: asked.logprobs
          ? {
              content: [
                {
                  token: text,
                  logprob: -0.5,
                  top_logprobs: alternatives(asked).map(({ text, logprob }) => ({ token: text, logprob })),
                },
              ],
            }
          : null,
        finish_reason: index === total - 1 ? finish : null,
      };
      return chunk(asked, [choice], null);
    },
    tail: () => {
      const usage = { prompt_tokens: INPUT_LENGTH, completion_tokens: total, total_tokens: INPUT_LENGTH + total };
      const bill = asked.includeUsage ? chunk(asked, [], usage) : Buffer.alloc(0);
      return Buffer.concat([bill, Buffer.from('data: [DONE]\n\n')]);
    },
    refusal: ({ error }) =>
      Buffer.concat([event({ error: { message: error, http_status_code: 422 } }), Buffer.from('data: [DONE]\n\n')]),
  };
}

/** Every fragment of a call has its id, and a name or null. */
function delta({ tools }: TgiAsked, index: number, text: string): object {
  const role = 'assistant';
  if (tools.length === 0) return { role, content: text };
  const name = index === 0 ? tools[0]?.function.name : null;
  return { role, tool_calls: [{ index: 0, id: '0', type: 'function', function: { name, arguments: text } }] };
}

function chunk({ model }: TgiAsked, choices: readonly object[], usage: object | null): Buffer {
  const system_fingerprint = '3.3.7-dev0-native';
  return event({
    object: 'chat.completion.chunk',
    id: '',
    created: 1_700_000_000,
    model,
    system_fingerprint,
    choices,
    usage,
  });
}

function token(index: number, text: string): object {
  return { id: FIRST_ID + index, text, logprob: -0.5, special: false };
}

function alternatives({
  alternatives: count,
}: TgiAsked): { id: number; text: string; logprob: number; special: boolean }[] {
  return Array.from({ length: count }, (_, rank) => ({
    id: rank,
    text: `alt${rank}`,
    logprob: -1 - rank,
    special: false,
  }));
}

function event(data: object): Buffer {
  return Buffer.from(`data:${JSON.stringify(data)}\n\n`);
}
