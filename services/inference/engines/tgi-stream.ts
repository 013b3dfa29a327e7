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
import { errorOfTgiEvent } from './tgi-errors.ts';
import { parseEngineJson } from './told-error.ts';

/** The largest event that is taken, in bytes; the last one repeats the whole text. */
const FRAME_LIMIT_BYTES = 4 * 1024 * 1024;

/** A token of the native stream. */
interface TgiToken {
  readonly id?: number;
  readonly text?: string;
  readonly logprob?: number | null;
  /** Not part of the text, e.g. the end token. */
  readonly special?: boolean;
}

/** One event of the native stream: a token, and with the last one how it ended. */
interface TgiEvent {
  readonly token?: TgiToken;
  readonly top_tokens?: readonly TgiToken[] | null;
  readonly details?: {
    readonly finish_reason?: string;
    readonly generated_tokens?: number;
    readonly input_length?: number;
  } | null;
}

/** What of a token the request asked for. */
export interface TgiAsked {
  readonly tokenIds: boolean;
  readonly logprobs: boolean;
}

/** The bytes of TGI's `/generate_stream` → generation events. The last event has the bill; nothing marks the end after it. */
export class TgiStream implements AnswerDecoder {
  readonly #engine: string;
  readonly #asked: TgiAsked;
  readonly #groups = new TokenGroups();
  readonly #decoder = new SseDecoder((data) => this.#onData(data), FRAME_LIMIT_BYTES);
  #complete = false;

  constructor(started: Started, asked: TgiAsked) {
    this.#engine = started.engine;
    this.#asked = asked;
    this.#groups.push({ case: 'started', value: started });
  }

  get complete(): boolean {
    return this.#complete;
  }

  get completionTokens(): number {
    return this.#groups.completionTokens;
  }

  push(chunk: Buffer): void {
    if (this.#complete) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      throw error instanceof MeshError ? error : engineFailed(this.#engine, error);
    }
  }

  close(): void {
    if (!this.#complete) throw engineLost(this.#engine, this.completionTokens);
  }

  take(): readonly GenerationEvent[] {
    return this.#groups.take();
  }

  #onData(data: string): void {
    if (this.#complete) return;
    const event = parseEngineJson(data) as TgiEvent | null;
    // Everything comes under status 200, "overloaded" and "invalid" too.
    const failure = errorOfTgiEvent(this.#engine, event);
    if (failure) throw failure;
    if (event?.token) this.#onToken(event.token, event.top_tokens ?? []);
    if (event?.details) this.#onEnd(event.details);
  }

  #onToken(token: TgiToken, top: readonly TgiToken[]): void {
    const delta = this.#groups.open(0);
    if (!token.special) delta.text += token.text ?? '';
    if (this.#asked.tokenIds) delta.tokenIds.push(token.id ?? 0);
    if (this.#asked.logprobs) delta.logprobs.push(tokenLogprob(token, top));
    this.#groups.completionTokens++;
  }

  #onEnd(details: NonNullable<TgiEvent['details']>): void {
    this.#complete = true;
    const promptTokens = details.input_length ?? 0;
    this.#groups.promptTokens = promptTokens;
    this.#groups.completionTokens = details.generated_tokens ?? this.completionTokens;
    const reason = details.finish_reason === 'length' ? FinishReason.LENGTH : FinishReason.STOP;
    this.#groups.push({ case: 'finished', value: { $typeName: 'mesh.generation.v1.Finished', choice: 0, reason } });
    this.#groups.push({
      case: 'usage',
      value: {
        $typeName: 'mesh.generation.v1.Usage',
        promptTokens,
        completionTokens: this.completionTokens,
        cachedTokens: 0,
        reasoningTokens: 0,
      },
    });
  }
}

function tokenLogprob(token: TgiToken, top: readonly TgiToken[]): TokenLogprob {
  return {
    $typeName: 'mesh.generation.v1.TokenLogprob',
    token: token.text ?? '',
    logprob: token.logprob ?? 0,
    bytes: new Uint8Array(),
    top: top.map((alternative) => tokenLogprob(alternative, [])),
    ...(token.id === undefined ? {} : { tokenId: token.id }),
  };
}
