import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ChatTemplateError } from './chat-template.ts';
import { answerCompletion } from './completion-handler.ts';
import { tokenizePrompt } from './generation.ts';
import type { LlamaEngine } from './llama-engine.ts';
import { METRICS_CONTENT_TYPE, metricsText } from './metrics-text.ts';
import { parseChatRequest, parseCompletionRequest, parseTokenizeRequest } from './openai-request.ts';
import { readJson } from './request-body.ts';
import { errorBody, RequestError } from './request-error.ts';

export type EngineServerOptions = {
  /** Undefined while the model loads. */
  readonly engine: () => LlamaEngine | undefined;
  /** The bearer key that every route but /health asks for; undefined: none. */
  readonly apiKey: string | undefined;
};

type Handler = (engine: LlamaEngine, request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

const ROUTES: Readonly<Record<string, { readonly method: string; readonly handle: Handler }>> = {
  '/v1/models': { method: 'GET', handle: listModels },
  '/metrics': { method: 'GET', handle: metrics },
  '/tokenize': { method: 'POST', handle: tokenize },
  '/v1/chat/completions': {
    method: 'POST',
    handle: async (engine, request, response) =>
      answerCompletion(engine, parseChatRequest(await readJson(request), engine.tokenizer.vocabularySize), response),
  },
  '/v1/completions': {
    method: 'POST',
    handle: async (engine, request, response) => {
      const parsed = parseCompletionRequest(await readJson(request), engine.tokenizer.vocabularySize);
      answerCompletion(engine, parsed, response);
    },
  },
};

/** Longer than any client of ours keeps an idle connection, so that it is never the server who closes one in use. */
const KEEP_ALIVE_TIMEOUT_MS = 600_000;

/** The engine's HTTP server; the caller listens and closes. */
export function createEngineServer({ engine, apiKey }: EngineServerOptions): Server {
  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const loaded = engine();
    if (path === '/health' && (request.method === 'GET' || request.method === 'HEAD')) {
      health(loaded, response);
      return;
    }
    if (!isAuthorized(request, apiKey)) {
      throw new RequestError(401, 'The bearer key is missing or wrong.', { code: 'invalid_api_key' });
    }
    const target = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
    if (target === undefined) throw new RequestError(404, `There is no route ${path}.`, { code: 'unknown_route' });
    if (request.method !== target.method) {
      response.setHeader('allow', target.method);
      throw new RequestError(405, `${path} takes ${target.method}.`, { code: 'method_not_allowed' });
    }
    if (loaded === undefined) {
      throw new RequestError(503, 'The model is still loading.', { code: 'model_loading', retryAfterSeconds: 1 });
    }
    await target.handle(loaded, request, response);
  }

  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS }, (request, response) => {
    route(request, response).catch((error: unknown) => refuse(request, response, error));
  });
  return server;
}

function isAuthorized(request: IncomingMessage, apiKey: string | undefined): boolean {
  if (apiKey === undefined) return true;
  const given = Buffer.from(request.headers.authorization ?? '');
  const wanted = Buffer.from(`Bearer ${apiKey}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function health(engine: LlamaEngine | undefined, response: ServerResponse): void {
  if (engine === undefined) {
    sendJson(response, 503, { status: 'loading' });
    return;
  }
  const { running, waiting } = engine.scheduler.counts();
  sendJson(response, 200, { status: 'ok', requests_running: running, requests_waiting: waiting });
}

function metrics(engine: LlamaEngine, _request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE }).end(metricsText(engine));
}

function listModels(engine: LlamaEngine, _request: IncomingMessage, response: ServerResponse): void {
  const model = { id: engine.model, object: 'model', owned_by: 'embedded', max_model_len: engine.contextTokens };
  sendJson(response, 200, { object: 'list', data: [model] });
}

async function tokenize(engine: LlamaEngine, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const source = parseTokenizeRequest(await readJson(request), engine.tokenizer.vocabularySize);
  const tokens = tokenizePrompt(engine, source);
  sendJson(response, 200, { tokens: Array.from(tokens), count: tokens.length });
}

function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof ChatTemplateError) {
    return new RequestError(400, error.message, { param: 'messages', code: 'invalid_value' });
  }
  process.stderr.write(`unexpected: ${error instanceof Error ? error.stack : String(error)}\n`);
  return new RequestError(500, 'Unexpected error in the engine.');
}

async function refuse(request: IncomingMessage, response: ServerResponse, cause: unknown): Promise<void> {
  // The client left while its body was read: nobody to answer.
  if (response.destroyed) return;
  const error = asRequestError(cause);
  // A client that is still sending sees a broken connection instead of an answer, so the rest is read and dropped.
  if (!request.complete) {
    request.resume();
    await new Promise((resolve) => request.once('end', resolve).once('close', resolve));
    if (response.destroyed) return;
  }
  if (error.retryAfterSeconds !== undefined) response.setHeader('retry-after', error.retryAfterSeconds);
  response.writeHead(error.status, { 'content-type': 'application/json' }).end(errorBody(error));
}
