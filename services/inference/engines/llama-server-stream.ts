import {
  FinishReason,
  type GenerationEvent,
  type Started,
  type TokenLogprob,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { TokenGroups } from '../stream/token-groups.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { engineFailed, engineLost } from './openai-errors.ts';
import { SseDecoder } from './sse-decoder.ts';
import { codeOf, parseEngineJson } from './told-error.ts';

/** The largest event that is taken, in bytes; the last one repeats the prompt. */
const FRAME_LIMIT_BYTES = 64 * 1024 * 1024;

/** A token and how likely it was. */
interface LlamaProbability {
  readonly id?: number;
  readonly token?: string;
  readonly bytes?: readonly number[] | null;
  readonly logprob?: number | null;
  readonly top_logprobs?: readonly LlamaProbability[] | null;
}

/** One event of `/completion`. */
interface LlamaEvent {
  readonly index?: number;
  readonly content?: string;
  readonly tokens?: readonly number[];
  /** Whether this is the last of its choice. */
  readonly stop?: boolean;
  readonly stop_type?: string;
  readonly stopping_word?: string;
  /** Tokens made so far, those of an unfinished character included. */
  readonly tokens_predicted?: number;
  /** Length of the prompt. */
  readonly tokens_evaluated?: number;
  readonly completion_probabilities?: readonly LlamaProbability[];
  readonly timings?: { readonly cache_n?: number; readonly prompt_ms?: number; readonly predicted_ms?: number };
  readonly error?: unknown;
}

/** What of a token the request asked for. */
export interface LlamaAsked {
  readonly tokenIds: boolean;
  /** Alternatives per token. Unset: no log-probabilities. */
  readonly topLogprobs: number | undefined;
}

/**
 * The bytes of llama-server's `/completion` → generation events. It does not tell the ids of tokens that end within a
 * character, only how many there were: the count stays right, `token_ids` has gaps there.
 */
export class LlamaServerStream implements AnswerDecoder {
  readonly #engine: string;
  readonly #asked: LlamaAsked;
  readonly #groups = new TokenGroups();
  readonly #decoder = new SseDecoder((data) => this.#onData(data), FRAME_LIMIT_BYTES);
  /** Tokens of each choice. */
  readonly #predicted: number[];
  #unfinished: number;
  #timings: LlamaEvent['timings'];

  constructor(started: Started, choices: number, asked: LlamaAsked) {
    this.#engine = started.engine;
    this.#asked = asked;
    this.#predicted = new Array(choices).fill(0);
    this.#unfinished = choices;
    this.#groups.push({ case: 'started', value: started });
  }

  get complete(): boolean {
    return this.#unfinished === 0;
  }

  get completionTokens(): number {
    return this.#groups.completionTokens;
  }

  push(chunk: Buffer): void {
    if (this.complete) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      throw error instanceof MeshError ? error : engineFailed(this.#engine, error);
    }
  }

  close(): void {
    if (!this.complete) throw engineLost(this.#engine, this.completionTokens);
  }

  take(): readonly GenerationEvent[] {
    return this.#groups.take();
  }

  #onData(data: string): void {
    if (this.complete) return;
    const event = parseEngineJson(data) as LlamaEvent | null;
    if (event === null || typeof event !== 'object') throw new Error('event is no object');
    if (event.error) throw engineFailed(this.#engine, new Error(`error in mid-stream, code ${codeOf(event.error)}`));
    const choice = event.index ?? 0;
    if (this.#predicted[choice] === undefined) throw new Error('choice out of range');
    this.#count(event, choice);
    this.#append(event, choice);
    if (event.stop) this.#onStop(event, choice);
  }

  #count(event: LlamaEvent, choice: number): void {
    if (event.tokens_evaluated !== undefined) this.#groups.promptTokens = event.tokens_evaluated;
    // Older servers tell it only at the end.
    const before = this.#predicted[choice] ?? 0;
    this.#predicted[choice] = event.tokens_predicted ?? before + (event.tokens?.length ?? 0);
    this.#groups.completionTokens = this.#predicted.reduce((sum, count) => sum + count, 0);
  }

  #append(event: LlamaEvent, choice: number): void {
    const { content = '', tokens = [], completion_probabilities: probabilities = [] } = event;
    if (content === '' && tokens.length === 0) return;
    const delta = this.#groups.open(choice);
    delta.text += content;
    if (this.#asked.tokenIds) delta.tokenIds.push(...tokens);
    const { topLogprobs } = this.#asked;
    if (topLogprobs === undefined) return;
    for (const one of probabilities) delta.logprobs.push(tokenLogprob(one, topLogprobs));
  }

  #onStop(event: LlamaEvent, choice: number): void {
    const { stop_type: type, stopping_word: word } = event;
    this.#timings = event.timings;
    this.#groups.push({
      case: 'finished',
      value: {
        $typeName: 'mesh.generation.v1.Finished',
        choice,
        reason: type === 'limit' ? FinishReason.LENGTH : FinishReason.STOP,
        ...(type === 'word' && word ? { matchedStop: word } : {}),
      },
    });
    if (--this.#unfinished === 0) this.#onEnd();
  }

  #onEnd(): void {
    const { cache_n: cachedTokens, prompt_ms: promptMs, predicted_ms: predictedMs } = this.#timings ?? {};
    this.#groups.push({
      case: 'usage',
      value: {
        $typeName: 'mesh.generation.v1.Usage',
        promptTokens: this.#groups.promptTokens,
        completionTokens: this.completionTokens,
        cachedTokens: cachedTokens ?? 0,
        reasoningTokens: 0,
        ...(promptMs === undefined ? {} : { prefillSeconds: promptMs / 1_000 }),
        ...(predictedMs === undefined ? {} : { decodeSeconds: predictedMs / 1_000 }),
      },
    });
  }
}

function tokenLogprob(entry: LlamaProbability, top: number): TokenLogprob {
  return {
    $typeName: 'mesh.generation.v1.TokenLogprob',
    token: entry.token ?? '',
    logprob: entry.logprob ?? 0,
    bytes: Uint8Array.from(entry.bytes ?? []),
    top: (entry.top_logprobs ?? []).slice(0, top).map((alternative) => tokenLogprob(alternative, 0)),
    ...(entry.id === undefined ? {} : { tokenId: entry.id }),
  };
}
