// The HTTP side of a fake engine: routes of JSON bodies on any listener, and the fake's own count at GET /fake/state.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { FakeState } from './engine-state.ts';

/** One request. */
export interface FakeExchange {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON; {} when there was none. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly response: ServerResponse;
  /** Answers with JSON, or with a text as it is. */
  reply(status: number, body: unknown, headers?: Readonly<Record<string, string>>): void;
}

/** What answers a route. */
export type FakeRoute = (exchange: FakeExchange) => void | Promise<void>;

/** A fake server's routes, e.g. "GET /health". */
export interface FakeRoutes {
  readonly routes: Readonly<Record<string, FakeRoute>>;
  readonly state: FakeState;
  /** Answers before the route does, e.g. that the key is wrong; returns whether it did. */
  readonly before?: (exchange: FakeExchange) => boolean;
  /** What an unknown path gets. Default {"detail":"Not Found"}. */
  readonly notFound?: unknown;
}

/** Makes the server; it does not listen yet. */
export function fakeServer(options: FakeRoutes): Server {
  return createServer((request, response) => {
    handle(options, request, response).catch((error: unknown) => {
      console.error('fake engine:', error);
      response.destroy();
    });
  });
}

/** Listens on a Unix socket or a loopback port; the path is left behind when it ends, as the real ones do. */
export function listen(server: Server, at: { readonly socketPath: string } | { readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    if ('socketPath' in at) server.listen(at.socketPath, resolve);
    else server.listen(at.port, '127.0.0.1', resolve);
  });
}

/** Counts a generation from now until its connection is closed. */
export function countGeneration(state: FakeState, { path, headers, body, response }: FakeExchange): void {
  state.last = { path, headers, body };
  state.running++;
  response.once('close', () => {
    state.running--;
    if (response.writableFinished) state.served++;
    else state.aborted++;
  });
}

async function handle(options: FakeRoutes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?')[0] ?? '';
  const text = await read(request);
  const exchange: FakeExchange = {
    path,
    headers: request.headers as Record<string, string>,
    body: text.startsWith('{') ? JSON.parse(text) : {},
    response,
    reply: (status, body, headers = {}) => {
      const answer = typeof body === 'string' ? body : JSON.stringify(body);
      const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
      response.writeHead(status, { 'content-type': type, ...headers });
      response.end(answer);
    },
  };
  if (path === '/fake/state') return exchange.reply(200, options.state);
  if (options.before?.(exchange)) return;
  const route = options.routes[`${request.method} ${path}`];
  if (!route) return exchange.reply(404, options.notFound ?? { detail: 'Not Found' });
  await route(exchange);
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
