import type { SamplerConfig } from './llama-binding.ts';
import type { LlamaEngine } from './llama-engine.ts';
import type { TokenLogprobs } from './logprob-reader.ts';
import type { CompletionRequest, PromptSource } from './openai-request.ts';
import { RequestError } from './request-error.ts';
import type { GenerationHandle } from './scheduler.ts';
import { createStopFilter } from './stop-strings.ts';
import { createTextDecoder, type Piece } from './text-decoder.ts';
import { type Tokenizer, tokenizePlainPrompt } from './tokenizer.ts';

export type GenerationResult = {
  readonly reason: 'stop' | 'length';
  /** The stop string that matched. */
  readonly stop: string | undefined;
  readonly timings: { readonly queueMs: number; readonly prefillMs: number; readonly decodeMs: number };
};

/** Counts so far; `completionTokens` includes tokens whose text is still held back. */
export type GenerationUsage = {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
};

/** New text with its tokens. `logprobs` has an entry per token whose text is in it, where the request asks. */
export type GenerationPiece = Piece & { readonly logprobs?: readonly TokenLogprobs[] };

export type GenerationSink = {
  piece(piece: GenerationPiece): void;
  /** After the last piece. */
  ended(result: GenerationResult): void;
  failed(error: Error): void;
};

export type Generation = GenerationHandle & { usage(): GenerationUsage };

/** Token ids of a prompt. Throws RequestError for one without tokens, ChatTemplateError for impossible messages. */
export function tokenizePrompt(engine: LlamaEngine, prompt: PromptSource): Uint32Array {
  if (prompt.kind === 'tokens') return Uint32Array.from(prompt.tokens);
  if (prompt.kind === 'chat') return engine.chatTemplate.tokenize(prompt.messages);
  return tokenizePlainPrompt(engine.tokenizer, prompt.text);
}

/** The tokens of an answer that has begun. */
function tokenizeContinued({ tokenizer }: LlamaEngine, { continued }: CompletionRequest): Uint32Array {
  if (continued === undefined) return new Uint32Array();
  return continued.kind === 'tokens' ? Uint32Array.from(continued.tokens) : tokenizer.tokenizeText(continued.text);
}

function joined(first: Uint32Array, second: Uint32Array): Uint32Array {
  const all = new Uint32Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

/** Starts a generation. Throws RequestError where the prompt does not fit or the queue is full. */
export function startGeneration(engine: LlamaEngine, request: CompletionRequest, sink: GenerationSink): Generation {
  const continued = tokenizeContinued(engine, request);
  const asked = tokenizePrompt(engine, request.prompt);
  const prompt = continued.length === 0 ? asked : joined(asked, continued);
  const maxTokens = tokenBudget(prompt.length, request.maxTokens, engine.contextTokens);
  const decoder = createTextDecoder(engine.tokenizer.detokenize);
  const filter = createStopFilter(request.stops);
  const submittedAt = performance.now();
  let startedAt = submittedAt;
  let firstTokenAt: number | undefined;
  let completionTokens = 0;
  let cachedTokens = 0;
  let matchedStop: string | undefined;
  /** Of the tokens that were not sent yet, in order; always empty where none were asked for. */
  const heldLogprobs: TokenLogprobs[] = [];

  function send(piece: Piece): void {
    if (request.topLogprobs === undefined) {
      sink.piece(piece);
      return;
    }
    const logprobs = heldLogprobs.splice(0, piece.tokens.length);
    sink.piece({ ...piece, logprobs: matchedStop === undefined ? logprobs : beforeStop(logprobs, piece.text) });
  }

  /** Those whose text begins before the end of `text`: what a stop string withholds is told by nothing. */
  function beforeStop(logprobs: readonly TokenLogprobs[], text: string): readonly TokenLogprobs[] {
    let left = Buffer.byteLength(text);
    return logprobs.filter(({ token }) => {
      const isSent = left > 0;
      left -= engine.tokenizer.spell(token).bytes.length;
      return isSent;
    });
  }

  function pass(piece: Piece | undefined): boolean {
    if (piece === undefined) return true;
    const result = filter.push(piece);
    matchedStop = result.stop;
    if (result.piece !== undefined) send(result.piece);
    return matchedStop === undefined;
  }

  const handle = engine.scheduler.submit({
    prompt,
    maxTokens,
    sampling: {
      config: completeConfig(request, continued, maxTokens, engine.tokenizer),
      grammar: request.grammar === undefined ? undefined : engine.parseGrammar(request.grammar),
      topLogprobs: request.topLogprobs,
    },
    started(cached) {
      startedAt = performance.now();
      cachedTokens = cached;
    },
    token(token, logprobs) {
      firstTokenAt ??= performance.now();
      completionTokens++;
      if (logprobs !== undefined) heldLogprobs.push(logprobs);
      return pass(decoder.push(token));
    },
    ended(reason) {
      if (matchedStop === undefined && pass(decoder.flush())) {
        const rest = filter.flush();
        if (rest !== undefined) send(rest);
      }
      const now = performance.now();
      const decodeFrom = firstTokenAt ?? now;
      sink.ended({
        reason: matchedStop === undefined ? reason : 'stop',
        stop: matchedStop,
        timings: { queueMs: startedAt - submittedAt, prefillMs: decodeFrom - startedAt, decodeMs: now - decodeFrom },
      });
    },
    failed: (error) => sink.failed(error),
  });
  if (handle === undefined) {
    throw new RequestError(503, 'The engine has too many waiting requests. Try again later.', {
      code: 'engine_overloaded',
      retryAfterSeconds: 1,
    });
  }
  return { ...handle, usage: () => ({ promptTokens: prompt.length, completionTokens, cachedTokens }) };
}

function tokenBudget(promptTokens: number, asked: number | undefined, contextTokens: number): number {
  if (promptTokens === 0) {
    throw new RequestError(400, 'The prompt is empty.', { param: 'prompt', code: 'invalid_value' });
  }
  const left = contextTokens - promptTokens;
  if (left < 1) {
    throw new RequestError(
      400,
      `The prompt has ${promptTokens} tokens and the context ${contextTokens}: shorten the prompt.`,
      { code: 'context_length_exceeded' },
    );
  }
  return Math.min(asked ?? left, left);
}

function completeConfig(
  request: CompletionRequest,
  continued: Uint32Array,
  maxTokens: number,
  tokenizer: Tokenizer,
): SamplerConfig {
  const config = { ...request.samplerConfig };
  // Penalties count the tokens of the whole completion, as OpenAI defines them, not a window of it.
  if (config.repeatPenaltyTokens !== undefined) {
    config.repeatPenaltyTokens = continued;
    config.repeatPenaltyMaxTokens = continued.length + maxTokens;
  }
  const forbidden = [
    ...(request.ignoreEnd ? tokenizer.endTokens : []),
    // A grammar takes them by their names, which are no part of the text.
    ...(request.grammar === undefined ? [] : tokenizer.markTokens),
  ];
  if (forbidden.length > 0) {
    config.tokenBiasKeys = Uint32Array.of(...(config.tokenBiasKeys ?? []), ...forbidden);
    config.tokenBiasValues = Float32Array.of(
      ...(config.tokenBiasValues ?? []),
      ...forbidden.map(() => Number.NEGATIVE_INFINITY),
    );
  }
  return config;
}
