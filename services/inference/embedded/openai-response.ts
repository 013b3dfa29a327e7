import { randomUUID } from 'node:crypto';
import type { GenerationPiece, GenerationResult, GenerationUsage } from './generation.ts';
import type { TokenLogprobs } from './logprob-reader.ts';
import { createLogprobsFormat } from './openai-logprobs.ts';
import type { CompletionRequest } from './openai-request.ts';
import type { Tokenizer } from './tokenizer.ts';

export const SSE_DONE = 'data: [DONE]\n\n';

export type ResponseFormatter = {
  /** An event with new text. */
  pieceEvent(piece: GenerationPiece, usage: GenerationUsage): string;
  /** The event with the reason of the end. */
  endEvent(result: GenerationResult, usage: GenerationUsage): string;
  /** The event after it, where the request asks for usage. */
  usageEvent(result: GenerationResult, usage: GenerationUsage): string;
  /** The body of an answer that is not streamed. */
  body(answer: WholeAnswer, result: GenerationResult, usage: GenerationUsage): string;
};

/** Everything that the pieces brought. */
export type WholeAnswer = {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly logprobs: readonly TokenLogprobs[];
};

/** What an answer says about the model that made it. */
export type AnsweringModel = { readonly model: string; readonly tokenizer: Pick<Tokenizer, 'spell'> };

const milliseconds = (value: number): number => Math.round(value * 1000) / 1000;

function usageObject({ promptTokens, completionTokens, cachedTokens }: GenerationUsage): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

function timingsObject({ timings }: GenerationResult): object {
  return {
    queue_ms: milliseconds(timings.queueMs),
    prompt_ms: milliseconds(timings.prefillMs),
    predicted_ms: milliseconds(timings.decodeMs),
  };
}

/** OpenAI's shapes for one request. What does not change between its events is written once. */
export function createFormatter(request: CompletionRequest, { model, tokenizer }: AnsweringModel): ResponseFormatter {
  const chat = request.prompt.kind === 'chat';
  const formatLogprobs =
    request.topLogprobs === undefined
      ? () => null
      : createLogprobsFormat(chat ? 'chat' : 'completion', tokenizer.spell);
  const identity = (object: string): string => {
    const id = `${chat ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`;
    const created = Math.floor(Date.now() / 1000);
    return JSON.stringify({ id, object, created, model: request.model ?? model }).slice(0, -1);
  };
  const chunkHead = `data: ${identity(chat ? 'chat.completion.chunk' : 'text_completion')}`;
  let role = chat ? '"role":"assistant",' : '';

  const content = (text: string): string => {
    if (!chat) return `"text":${JSON.stringify(text)}`;
    const delta = `"delta":{${role}"content":${JSON.stringify(text)}}`;
    role = '';
    return delta;
  };
  const event = (choice: string, usage: GenerationUsage): string => {
    const tail = request.continuousUsage ? `,"usage":${JSON.stringify(usageObject(usage))}` : '';
    return `${chunkHead},"choices":[{"index":0,${choice}}]${tail}}\n\n`;
  };

  return {
    pieceEvent(piece, usage) {
      const tokens = request.returnTokenIds ? `,"token_ids":[${piece.tokens.join(',')}]` : '';
      const logprobs = piece.logprobs === undefined ? 'null' : JSON.stringify(formatLogprobs(piece.logprobs));
      return event(`${content(piece.text)},"logprobs":${logprobs},"finish_reason":null${tokens}`, usage);
    },
    endEvent(result, usage) {
      const delta = chat ? `"delta":{${role.slice(0, -1)}}` : '"text":""';
      const stop = JSON.stringify(result.stop ?? null);
      return event(`${delta},"logprobs":null,"finish_reason":"${result.reason}","stop_reason":${stop}`, usage);
    },
    usageEvent(result, usage) {
      const tail = { choices: [], usage: usageObject(usage), timings: timingsObject(result) };
      return `${chunkHead},${JSON.stringify(tail).slice(1)}\n\n`;
    },
    body({ text, tokens, logprobs }, result, usage) {
      const choice = {
        index: 0,
        ...(chat ? { message: { role: 'assistant', content: text } } : { text }),
        logprobs: formatLogprobs(logprobs),
        finish_reason: result.reason,
        stop_reason: result.stop ?? null,
        ...(request.returnTokenIds ? { token_ids: tokens } : {}),
      };
      const rest = { choices: [choice], usage: usageObject(usage), timings: timingsObject(result) };
      return `${identity(chat ? 'chat.completion' : 'text_completion')},${JSON.stringify(rest).slice(1)}`;
    },
  };
}
