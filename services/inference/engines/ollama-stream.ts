import {
  type Delta,
  FinishReason,
  type GenerationEvent,
  type Started,
  type Usage,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { TokenGroups } from '../stream/token-groups.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { NdjsonDecoder } from './ndjson-decoder.ts';
import type { OllamaChunk, OllamaToolCall } from './ollama-chunk.ts';
import { engineFailed, engineLost } from './openai-errors.ts';
import { appendLogprobs } from './openai-logprobs.ts';
import { parseEngineJson } from './told-error.ts';

/** The content type of Ollama's streams; an error before the first token has another. */
export const NDJSON = 'application/x-ndjson';

/** The largest line that is taken, in bytes: a tool call comes in one. */
const LINE_LIMIT_BYTES = 4 * 1024 * 1024;

const NANOSECONDS_PER_SECOND = 1e9;

/**
 * The JSON lines of Ollama's own API → generation events of its one choice. Does no I/O.
 *
 * The bill of a whole answer is the server's. Until then a line counts as one token, and of a stream that is cut the count is
 * a lower bound: a line may hold several, and what comes of no text makes none. Log-probabilities would tell, asked for or
 * not, but Ollama computes them over the whole vocabulary for each token, and drops some of reasoning.
 */
export class OllamaStream implements AnswerDecoder {
  readonly #started: Started;
  readonly #groups = new TokenGroups();
  readonly #decoder = new NdjsonDecoder((line) => this.#onLine(line), LINE_LIMIT_BYTES);
  #toolCalls = 0;
  #complete = false;

  constructor(started: Started) {
    this.#started = started;
    this.#groups.push({ case: 'started', value: started });
  }

  get complete(): boolean {
    return this.#complete;
  }

  get completionTokens(): number {
    return this.#groups.completionTokens;
  }

  push(chunk: Buffer): void {
    this.#decode(() => this.#decoder.push(chunk));
  }

  close(): void {
    this.#decode(() => this.#decoder.end());
    if (!this.#complete) throw engineLost(this.#started.engine, this.completionTokens);
  }

  take(): readonly GenerationEvent[] {
    return this.#groups.take();
  }

  #decode(run: () => void): void {
    if (this.#complete) return;
    try {
      run();
    } catch (error) {
      throw error instanceof MeshError ? error : engineFailed(this.#started.engine, error);
    }
  }

  #onLine(line: string): void {
    if (this.#complete) return;
    const chunk = parseEngineJson(line) as OllamaChunk | null;
    if (typeof chunk !== 'object' || chunk === null) throw new Error('line is no object');
    // Its text may hold somebody's prompt or a path: the engine's own log has it.
    if (chunk.error !== undefined) throw new Error('error in mid-stream');
    this.#groups.completionTokens += this.#append(chunk);
    if (chunk.done === true) this.#end(chunk);
  }

  /** Appends to the delta; returns how many tokens that was: exact with logprobs, else one per line. */
  #append({ message, response, thinking, logprobs }: OllamaChunk): number {
    const text = message?.content ?? response ?? '';
    const reasoning = message?.thinking ?? thinking ?? '';
    const calls = message?.tool_calls ?? [];
    const hasContent = text !== '' || reasoning !== '' || calls.length > 0;
    if (!hasContent && !logprobs?.length) return 0;
    const delta = this.#groups.open(0);
    delta.text += text;
    delta.reasoning += reasoning;
    for (const call of calls) this.#appendToolCall(call, delta);
    return logprobs ? appendLogprobs({ content: logprobs }, delta.logprobs) : 1;
  }

  #appendToolCall(call: OllamaToolCall, delta: Delta): void {
    // Ollama's own index is 0 for every call of some models, and its id is empty in some versions.
    const index = this.#toolCalls++;
    delta.toolCalls.push({
      $typeName: 'mesh.generation.v1.ToolCallDelta',
      index,
      id: call.id || `call_${this.#started.requestId}_${index}`,
      name: call.function?.name ?? '',
      arguments: JSON.stringify(call.function?.arguments ?? {}),
    });
  }

  #end(chunk: OllamaChunk): void {
    const { done_reason: told, prompt_eval_count: promptTokens, eval_count: completionTokens } = chunk;
    if (isCount(promptTokens)) this.#groups.promptTokens = promptTokens;
    if (isCount(completionTokens)) this.#groups.completionTokens = completionTokens;
    const stopped = this.#toolCalls > 0 ? FinishReason.TOOL_CALLS : FinishReason.STOP;
    const reason = told === 'length' ? FinishReason.LENGTH : stopped;
    this.#complete = true;
    this.#groups.push({
      case: 'finished',
      value: { $typeName: 'mesh.generation.v1.Finished', choice: 0, reason },
    });
    this.#groups.push({
      case: 'usage',
      value: {
        $typeName: 'mesh.generation.v1.Usage',
        promptTokens: this.#groups.promptTokens,
        completionTokens: this.#groups.completionTokens,
        cachedTokens: 0,
        reasoningTokens: 0,
        ...seconds(chunk),
      },
    });
  }
}

function seconds(chunk: OllamaChunk): Pick<Usage, 'prefillSeconds' | 'decodeSeconds'> {
  const { prompt_eval_duration: prefill, eval_duration: decode } = chunk;
  return {
    ...(typeof prefill === 'number' ? { prefillSeconds: prefill / NANOSECONDS_PER_SECOND } : {}),
    ...(typeof decode === 'number' ? { decodeSeconds: decode / NANOSECONDS_PER_SECOND } : {}),
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}
