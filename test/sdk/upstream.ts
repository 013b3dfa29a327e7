// An OpenAI-compatible server for the tests with SDKs. What it does is said by the first word of the last message (or of the
// prompt), so that many tests can use one at the same time:
//
//   echo          answers with the body that it was sent, as JSON
//   count N       N tokens "0 ", "1 ", …; so does anything else, with 4
//   think         reasoning, then an answer
//   weather       calls `get_weather` for two cities in fragments where there are tools, and tells what a tool has told
//   person        a JSON object in pieces
//   endless       a token every 5 ms until the client leaves
//   fault N       N tokens, then an error in the stream
//   cut N         N tokens, then the connection breaks
//   refuse S TEXT status S with an error of that text
//
// `GET /v1/left` tells how many clients have left before the end.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { chunkOf, type Piece, piecesOf } from './upstream-answers.ts';

/** A body that it was sent. */
export type UpstreamBody = Readonly<Record<string, unknown>>;

/** The ids that it lists. */
export const UPSTREAM_MODELS = { chat: 'org/chat-1', embed: 'org/embed-1' } as const;

/** A running server. */
export interface Upstream {
  /** With "/v1". */
  readonly baseUrl: string;
  /** Generations whose client left. */
  readonly left: number;
  close(): void;
}

/** Starts one. */
export async function startUpstream(): Promise<Upstream> {
  let leftSoFar = 0;
  const server: Server = createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) leftSoFar += 1;
    });
    answer(request, response, () => leftSoFar).catch((error: unknown) => {
      console.error('upstream:', error);
      response.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    get left() {
      return leftSoFar;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, left: () => number): Promise<void> {
  if (request.url === '/v1/models') {
    const data = Object.values(UPSTREAM_MODELS).map((id) => ({ id, object: 'model', max_model_len: 4096 }));
    return send(response, 200, { object: 'list', data });
  }
  if (request.url === '/v1/left') return send(response, 200, { left: left() });
  const body = (await json(request)) as UpstreamBody;
  if (request.url === '/v1/embeddings') return send(response, 200, vectorsOf(body));
  const command = commandOf(body);
  const [word, first = ''] = command.split(' ');
  if (word === 'refuse') {
    const message = command.split(' ').slice(2).join(' ');
    return send(response, Number(first), {
      error: { message, type: 'invalid_request_error', param: 'top_p', code: null },
    });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for await (const piece of piecesOf(command, body)) {
    if (response.destroyed) return;
    if (piece.pauseMs !== undefined) await delay(piece.pauseMs);
    if (piece.cut) return void response.destroy();
    await write(response, piece, body);
  }
  response.end('data: [DONE]\n\n');
}

async function write(response: ServerResponse, piece: Piece, body: UpstreamBody): Promise<void> {
  for (const chunk of chunkOf(piece, body)) {
    // Each in a turn of its own, so that a piece of the answer is a chunk at the client too.
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    await delay(1);
  }
}

function commandOf({ messages, prompt }: UpstreamBody): string {
  const last = Array.isArray(messages) ? messages.findLast(({ role }) => role === 'user') : undefined;
  const content = last?.content ?? prompt;
  if (typeof content === 'string') return content;
  const [first] = Array.isArray(content) ? content : [];
  return typeof first?.text === 'string' ? first.text : '';
}

/** A vector tells the length of its input, and its own. */
function vectorsOf({ input, dimensions = 4 }: UpstreamBody): object {
  const inputs = input as readonly (string | number[])[];
  const data = inputs.map(({ length }, index) => ({
    object: 'embedding',
    index,
    embedding: Array.from({ length: Number(dimensions) }, (_, at) => length + at / 10),
  }));
  return { object: 'list', data, usage: { prompt_tokens: 3 * inputs.length, total_tokens: 3 * inputs.length } };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
