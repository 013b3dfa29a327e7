import type { ServerResponse } from 'node:http';
import { type Generation, type GenerationResult, type GenerationSink, startGeneration } from './generation.ts';
import type { LlamaEngine } from './llama-engine.ts';
import type { TokenLogprobs } from './logprob-reader.ts';
import type { CompletionRequest } from './openai-request.ts';
import { createFormatter, SSE_DONE } from './openai-response.ts';
import { errorBody, RequestError } from './request-error.ts';

/** Runs a request to its end on a response. The response's closing, whenever it comes, cancels the generation. */
export function answerCompletion(engine: LlamaEngine, request: CompletionRequest, response: ServerResponse): void {
  // The sink is called from later turns of the event loop only, when the generation is known.
  const generation: Generation = startGeneration(
    engine,
    request,
    request.stream
      ? streamingSink(engine, request, response, () => generation)
      : collectingSink(engine, request, response, () => generation),
  );
  response.on('close', () => {
    if (!response.writableEnded) generation.cancel();
  });
}

const failure = (error: Error): RequestError => new RequestError(500, `The engine failed: ${error.message}`);

function streamingSink(
  engine: LlamaEngine,
  request: CompletionRequest,
  response: ServerResponse,
  generation: () => Generation,
): GenerationSink {
  const format = createFormatter(request, engine);

  /** Flushed at once. A client that does not read stops its own generation, and nobody else's. */
  function write(event: string): void {
    if (!response.headersSent) {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    }
    if (response.write(event)) return;
    generation().pause();
    response.once('drain', () => generation().resume());
  }

  return {
    piece: (piece) => write(format.pieceEvent(piece, generation().usage())),
    ended(result) {
      const usage = generation().usage();
      const usageEvent = request.includeUsage ? format.usageEvent(result, usage) : '';
      write(format.endEvent(result, usage) + usageEvent + SSE_DONE);
      response.end();
    },
    failed(error) {
      const body = errorBody(failure(error));
      if (response.headersSent) response.end(`data: ${body}\n\n`);
      else response.writeHead(500, { 'content-type': 'application/json' }).end(body);
    },
  };
}

function collectingSink(
  engine: LlamaEngine,
  request: CompletionRequest,
  response: ServerResponse,
  generation: () => Generation,
): GenerationSink {
  const format = createFormatter(request, engine);
  const texts: string[] = [];
  const tokens: number[] = [];
  const logprobs: TokenLogprobs[] = [];

  const send = (status: number, body: string): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  };
  return {
    piece(piece) {
      texts.push(piece.text);
      tokens.push(...piece.tokens);
      if (piece.logprobs !== undefined) logprobs.push(...piece.logprobs);
    },
    ended: (result: GenerationResult) =>
      send(200, format.body({ text: texts.join(''), tokens, logprobs }, result, generation().usage())),
    failed: (error) => send(500, errorBody(failure(error))),
  };
}
