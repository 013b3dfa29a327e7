import {
  type Delta,
  FinishReason,
  type GenerationEvent,
  type Started,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { TokenGroups } from '../stream/token-groups.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { isCount, OpenAiBill } from './openai-bill.ts';
import type { OpenAiChoice, OpenAiChunk, OpenAiToolCall } from './openai-chunk.ts';
import { engineFailed, engineLost, errorInStream } from './openai-errors.ts';
import { appendLogprobs } from './openai-logprobs.ts';
import { RepeatedChunk } from './repeated-chunk.ts';
import { SseDecoder } from './sse-decoder.ts';
import { parseEngineJson } from './told-error.ts';

/** The largest event that is taken, in bytes: many tokens with 20 alternatives each fit many times. */
const FRAME_LIMIT_BYTES = 4 * 1024 * 1024;

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  stop: FinishReason.STOP,
  length: FinishReason.LENGTH,
  tool_calls: FinishReason.TOOL_CALLS,
  function_call: FinishReason.TOOL_CALLS,
  content_filter: FinishReason.CONTENT_FILTER,
};

/** What an error in a stream means after that many tokens. */
type ErrorReader = (engine: string, error: unknown, tokens: number) => MeshError;

/** How a server's streams differ. */
export interface OpenAiStreamForm {
  /** What an error in a stream means. Default errorInStream. */
  readonly toldError?: ErrorReader;
  /** Whether the usage in a chunk with tokens counts those of its choice alone. Default: it is not read with several. */
  readonly countsEachChoice?: boolean;
}

/** The bytes of an OpenAI-compatible SSE answer → generation events. Does no I/O. */
export class OpenAiStream implements AnswerDecoder {
  readonly #engine: string;
  readonly #groups = new TokenGroups();
  readonly #decoder = new SseDecoder((data) => this.#onData(data), FRAME_LIMIT_BYTES);
  readonly #choices: number;
  readonly #form: OpenAiStreamForm;
  /** The choices that have finished. */
  readonly #finished = new Set<number>();
  readonly #bill: OpenAiBill;
  readonly #repeated = new RepeatedChunk();
  #complete = false;

  constructor(started: Started, choices: number, form: OpenAiStreamForm = {}) {
    this.#form = form;
    this.#engine = started.engine;
    this.#choices = choices;
    this.#bill = new OpenAiBill(choices, this.#groups);
    this.#groups.push({ case: 'started', value: started });
  }

  /** Whether the last event, `usage`, is among those taken or to be taken. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Tokens of all choices so far. */
  get completionTokens(): number {
    return this.#groups.completionTokens;
  }

  /**
   * Takes the next bytes.
   *
   * @throws MeshError ENGINE_FAILED for what is no such stream and for an error that the engine sends in it, ENGINE_LOST
   * for an end before its time.
   */
  push(chunk: Buffer): void {
    if (this.#complete) return;
    const start = this.#decoder.isBetweenEvents ? this.#repeated.take(chunk, this.#onText) : 0;
    if (start === chunk.length) return;
    try {
      this.#decoder.push(start === 0 ? chunk : chunk.subarray(start));
    } catch (error) {
      throw error instanceof MeshError ? error : engineFailed(this.#engine, error);
    }
  }

  /**
   * The answer has ended.
   *
   * @throws MeshError ENGINE_LOST when a choice is unfinished.
   */
  close(): void {
    if (!this.#complete) this.#end();
  }

  /** The events that are ready, in order. */
  take(): readonly GenerationEvent[] {
    return this.#groups.take();
  }

  readonly #onText = (text: string): void => {
    this.#groups.open(0).text += text;
    this.#bill.onTokens(0, 1, undefined);
  };

  #onData(data: string): void {
    if (this.#complete) return;
    if (data === '[DONE]') {
      this.#end();
      return;
    }
    const chunk = parseEngineJson(data) as OpenAiChunk | null;
    if (typeof chunk !== 'object' || chunk === null) throw new Error('chunk is no object');
    const { toldError = errorInStream, countsEachChoice } = this.#form;
    if (chunk.error) throw toldError(this.#engine, chunk.error, this.completionTokens);
    const choices = chunk.choices ?? [];
    // The bill first: a server that counts as it goes sends it with the tokens that it counts.
    const counted = this.#bill.onChunk(chunk.usage, chunk.timings, choices.length);
    const soFar = chunk.timings?.predicted_n ?? (countsEachChoice ? chunk.usage?.completion_tokens : undefined);
    for (let index = 0; index < choices.length; index++) {
      const choice = choices[index];
      if (choice) this.#onChoice(choice, counted, choices.length === 1 ? soFar : undefined);
    }
    const text = this.#choices === 1 ? onlyText(chunk) : undefined;
    if (text !== undefined) this.#repeated.learn(data, text, onlyText);
  }

  #onChoice(choice: OpenAiChoice, counted: boolean, soFar: number | undefined): void {
    const index = choice.index ?? 0;
    if (!isCount(index) || index >= this.#choices) throw new Error('choice out of range');
    const tokens = this.#append(choice, index);
    if (!counted) this.#bill.onTokens(index, tokens, soFar);
    if (typeof choice.finish_reason === 'string') this.#onFinish(choice, index, choice.finish_reason);
  }

  /** Appends to the choice's delta; returns how many tokens that was. */
  #append(choice: OpenAiChoice, index: number): number {
    const text = choice.delta?.content ?? choice.text ?? '';
    const reasoning = choice.delta?.reasoning_content ?? choice.delta?.reasoning ?? '';
    const toolCalls = choice.delta?.tool_calls;
    const ids = choice.token_ids;
    const hasContent = text !== '' || reasoning !== '' || (toolCalls?.length ?? 0) > 0;
    if (!hasContent && !ids?.length && !choice.logprobs) return 0;
    const delta = this.#groups.open(index);
    // Joined even when empty-handed: a server may hold back the bytes of half a character but tell the token.
    if (typeof text === 'string') delta.text += text;
    if (typeof reasoning === 'string') delta.reasoning += reasoning;
    if (toolCalls) appendToolCalls(toolCalls, delta);
    if (ids) for (let at = 0; at < ids.length; at++) delta.tokenIds.push(ids[at] ?? 0);
    const told = choice.logprobs ? appendLogprobs(choice.logprobs, delta.logprobs) : 0;
    return ids?.length || told || (hasContent ? 1 : 0);
  }

  #onFinish(choice: OpenAiChoice, index: number, reason: string): void {
    // vLLM's word for a request that it dropped itself, e.g. because it is stopped.
    if (reason === 'abort') throw engineLost(this.#engine, this.completionTokens);
    const matchedStop = typeof choice.stop_reason === 'string' ? choice.stop_reason : undefined;
    this.#finished.add(index);
    this.#bill.onFinished(index);
    this.#groups.push({
      case: 'finished',
      value: {
        $typeName: 'mesh.generation.v1.Finished',
        choice: index,
        reason: FINISH_REASONS[reason] ?? FinishReason.STOP,
        ...(matchedStop === undefined ? {} : { matchedStop }),
      },
    });
  }

  #end(): void {
    if (this.#finished.size < this.#choices) throw engineLost(this.#engine, this.completionTokens);
    this.#complete = true;
    this.#groups.push({ case: 'usage', value: this.#bill.usage });
  }
}

/** The text of a chunk that says nothing else. Undefined: it says more, or has no text. */
function onlyText({ choices, usage, timings }: OpenAiChunk): string | undefined {
  const choice = choices?.[0];
  if (!choice || choices?.length !== 1 || usage || timings) return undefined;
  const { delta, finish_reason, token_ids: ids, logprobs } = choice;
  const saysMore = delta?.reasoning_content || delta?.reasoning || delta?.tool_calls?.length || ids?.length || logprobs;
  if (saysMore || typeof finish_reason === 'string') return undefined;
  const text = delta?.content ?? choice.text;
  return typeof text === 'string' && text !== '' ? text : undefined;
}

function appendToolCalls(calls: readonly OpenAiToolCall[], delta: Delta): void {
  for (const call of calls) {
    const { id } = call;
    const name = call.function?.name;
    delta.toolCalls.push({
      $typeName: 'mesh.generation.v1.ToolCallDelta',
      index: call.index ?? 0,
      arguments: call.function?.arguments ?? '',
      ...(typeof id === 'string' ? { id } : {}),
      ...(typeof name === 'string' ? { name } : {}),
    });
  }
}
