import type { Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { TokenGroups } from '../stream/token-groups.ts';
import type { OpenAiTimings, OpenAiUsage } from './openai-chunk.ts';

const UINT32_MAX = 2 ** 32 - 1;

/**
 * What an OpenAI-compatible answer costs: our own count, corrected by what the server tells. Several choices are billed in
 * two ways: by one bill for all behind the last of them, or, by llama-server, by one of its own behind the end of each.
 */
export class OpenAiBill {
  readonly #groups: TokenGroups;
  /** Tokens of each choice; of a single one `#groups` knows. */
  readonly #made: number[];
  #usage: OpenAiUsage | undefined;
  #timings: OpenAiTimings | undefined;
  /** Whether `#usage` counts all choices. */
  #isForAll: boolean;
  #lastFinished = 0;
  /** The choices that have ended since the last bill. */
  #unbilled = 0;

  constructor(choices: number, groups: TokenGroups) {
    this.#groups = groups;
    this.#made = new Array(choices).fill(0);
    this.#isForAll = choices === 1;
  }

  /**
   * Takes what a chunk tells of the bill, before its `choices` choices. Returns whether it counts the tokens of a single
   * choice so far.
   */
  onChunk(told: OpenAiUsage | null | undefined, timings: OpenAiTimings | null | undefined, choices: number): boolean {
    if (timings) this.#timings = timings;
    if (this.#made.length === 1) return this.#learn(told ?? usageSoFar(timings));
    const isBill = this.#learn(told) && choices === 0;
    if (isBill) this.#onBill();
    return false;
  }

  /** Counts `tokens` of a choice; `soFar` is what the server says that the choice has by now. */
  onTokens(choice: number, tokens: number, soFar: number | undefined): void {
    this.#setMade(choice, isCount(soFar) ? soFar : (this.#made[choice] ?? 0) + tokens);
  }

  onFinished(choice: number): void {
    this.#lastFinished = choice;
    this.#unbilled++;
  }

  /** The final bill. */
  get usage(): Usage {
    const usage = this.#usage;
    const made = this.#groups.completionTokens;
    const told = usage?.completion_tokens ?? made;
    return {
      $typeName: 'mesh.generation.v1.Usage',
      promptTokens: usage?.prompt_tokens ?? this.#groups.promptTokens,
      // Beside the choices it may count one of them only.
      completionTokens: this.#isForAll ? told : Math.max(told, made),
      cachedTokens: countOrZero(usage?.prompt_tokens_details?.cached_tokens),
      reasoningTokens: countOrZero(usage?.completion_tokens_details?.reasoning_tokens),
      ...seconds(this.#timings),
    };
  }

  #learn(usage: OpenAiUsage | null | undefined): boolean {
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage ?? {};
    if (!usage || !isCount(promptTokens) || !isCount(completionTokens)) return false;
    this.#usage = usage;
    this.#groups.promptTokens = promptTokens;
    if (this.#made.length === 1) this.#groups.completionTokens = completionTokens;
    return true;
  }

  /** One right behind the end of one choice is that choice's. */
  #onBill(): void {
    if (this.#unbilled === 1 && !this.#isForAll) {
      this.#setMade(this.#lastFinished, this.#usage?.completion_tokens ?? 0);
    } else {
      this.#isForAll = true;
    }
    this.#unbilled = 0;
  }

  #setMade(choice: number, tokens: number): void {
    this.#groups.completionTokens += tokens - (this.#made[choice] ?? 0);
    this.#made[choice] = tokens;
  }
}

/** Whether it is a number of tokens or an index. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= UINT32_MAX;
}

/** The bill so far of a llama.cpp server, which tells it with the time that it took. */
function usageSoFar(timings: OpenAiTimings | null | undefined): OpenAiUsage | undefined {
  const { prompt_n: computed, cache_n: cached, predicted_n: predicted } = timings ?? {};
  if (!isCount(computed) || !isCount(cached) || !isCount(predicted)) return undefined;
  const details = { cached_tokens: cached };
  return { prompt_tokens: computed + cached, completion_tokens: predicted, prompt_tokens_details: details };
}

function seconds(timings: OpenAiTimings | undefined): Pick<Usage, 'queueSeconds' | 'prefillSeconds' | 'decodeSeconds'> {
  const { queue_ms: queueMs, prompt_ms: promptMs, predicted_ms: predictedMs } = timings ?? {};
  return {
    ...(typeof queueMs === 'number' ? { queueSeconds: queueMs / 1_000 } : {}),
    ...(typeof promptMs === 'number' ? { prefillSeconds: promptMs / 1_000 } : {}),
    ...(typeof predictedMs === 'number' ? { decodeSeconds: predictedMs / 1_000 } : {}),
  };
}

function countOrZero(value: unknown): number {
  return isCount(value) ? value : 0;
}
