// The native form of the fake llama-server, `/completion`.
import type { FaultScript } from '../kit/fault-script.ts';
import { textOf, tokensOf } from '../kit/token-stream.ts';

export const PROMPT_TOKENS = 5;

const FIRST_ID = 1_000;
const DEFAULT_TOKENS = 8;

type Body = Readonly<Record<string, unknown>>;

/** How a generation is written. */
export interface CompletionForm {
  readonly total: number;
  readonly token: (index: number, text: string) => Buffer;
  readonly tail: () => Buffer;
}

/** A generation as it was asked for. A token that ends within a character is not told at all, only counted. */
export function completionForm(script: FaultScript, body: Body): CompletionForm {
  const choices = Array.from({ length: Number(body.n_cmpl ?? 1) }, (_, index) => index);
  const asked = Number(body.n_predict ?? DEFAULT_TOKENS);
  const { total, texts, word } = untilStop(script, tokensOf(script, asked), (body.stop ?? []) as string[]);
  const type = word !== undefined ? 'word' : total === asked ? 'limit' : 'eos';
  return {
    total,
    token: (index, text) => {
      if (script.splitUtf8 && text === '') return Buffer.alloc(0);
      return each(choices, (choice) => ({
        index: choice,
        content: texts[index],
        tokens: body.return_tokens === true ? [FIRST_ID + index] : [],
        stop: false,
        id_slot: choice,
        tokens_predicted: index + 1,
        tokens_evaluated: PROMPT_TOKENS,
        ...probabilities(body, index, text),
      }));
    },
    tail: () =>
      each(choices, (choice) => ({
        index: choice,
        content: '',
        tokens: [],
        id_slot: choice,
        stop: true,
        model: 'model',
        tokens_predicted: total,
        tokens_evaluated: PROMPT_TOKENS,
        generation_settings: {},
        prompt: body.prompt,
        truncated: false,
        stop_type: type,
        stopping_word: word ?? '',
        tokens_cached: PROMPT_TOKENS + total - 1,
        timings: { cache_n: 2, prompt_n: 3, prompt_ms: 10, predicted_n: total, predicted_ms: 20 },
      })),
  };
}

/** A stop text ends the answer wherever it is, and is not part of it. */
function untilStop(
  script: FaultScript,
  total: number,
  stops: readonly string[],
): { readonly total: number; readonly texts: readonly string[]; readonly word?: string } {
  const texts: string[] = [];
  let made = '';
  for (let index = 0; index < total; index++) {
    const text = textOf(script, index);
    const word = stops.find((stop) => (made + text).includes(stop));
    if (word !== undefined) {
      const at = (made + text).indexOf(word);
      let left = at;
      const cut = [...texts, text].map((one) => {
        const kept = one.slice(0, Math.max(0, left));
        left -= one.length;
        return kept;
      });
      return { total: index + 1, texts: cut, word };
    }
    texts.push(text);
    made += text;
  }
  return { total, texts };
}

function probabilities({ n_probs: count = 0 }: Body, index: number, text: string): object {
  if (count === 0) return {};
  const top = Array.from({ length: Number(count) }, (_, rank) => ({
    id: rank,
    token: `alt${rank}`,
    bytes: [97],
    logprob: -1 - rank,
  }));
  const bytes = [...Buffer.from(text)];
  return {
    completion_probabilities: [{ id: FIRST_ID + index, token: text, bytes, logprob: -0.5, top_logprobs: top }],
  };
}

function each(choices: readonly number[], event: (choice: number) => object): Buffer {
  return Buffer.concat(choices.map((choice) => Buffer.from(`data: ${JSON.stringify(event(choice))}\n\n`)));
}
