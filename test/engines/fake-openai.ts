// An OpenAI-compatible server that misbehaves on order. Start it as a child process:
//
//   node test/engines/fake-openai.ts '<script as JSON>' [--port N | --socket PATH]
//
// It prints {"port":N} (or {"socket":PATH}) when it listens. See FakeScript for the script; `POST /script` replaces it, and
// `POST /go` lets go on what waits at its `holdAtToken`.
// `GET /running` tells what is really in flight, counted by sockets: {"running","aborted","served","blocked","probes","last"}.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fakeVector } from './kit/openai-server.ts';

/** What the server does with every generation. Everything is optional. */
export interface FakeScript {
  /** How many tokens to make; else the request's max_tokens, else 8. */
  readonly tokens?: number;
  /** The text of each token, by turns. Default " t0", " t1", …. */
  readonly texts?: readonly string[];
  /** Goes on from the start of the answer that stands at the end of the prompt, counting tokens from the answer's own start. */
  readonly continues?: boolean;
  /** Whether requests for one token follow the script too; else they are answered well. */
  readonly warmUpToo?: boolean;
  /** Pause between two writes, in milliseconds. 0: as fast as it goes. */
  readonly everyMs?: number;
  /** Wait before the first token, in milliseconds, after the headers. */
  readonly firstTokenMs?: number;
  /** Wait before the headers, in milliseconds. */
  readonly headersMs?: number;
  /** Wait before this token for `POST /go`; after it nothing waits until the next script. */
  readonly holdAtToken?: number;
  /** Tokens per write. */
  readonly perWrite?: number;
  /** Tokens per chunk (one text, several ids). */
  readonly perChunk?: number;
  /** Send `token_ids` even if not asked. */
  readonly tokenIds?: boolean;
  /** Refuse prompt (5) and `max_tokens` that are more together, in the words of vLLM. */
  readonly contextTokens?: number;
  /** Answer with this status and body instead. */
  readonly status?: number;
  readonly body?: unknown;
  /** Repeat that body for ever. */
  readonly endlessBody?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  /** At token k: end the process, cut the connection, stop sending for good, send an error, garbage, half a chunk, or refuse every connection and live on. */
  readonly atToken?: number;
  readonly fault?: 'exit' | 'reset' | 'hang' | 'error' | 'garbage' | 'half' | 'end' | 'abort' | 'huge' | 'deaf';
  /** What stands in the event of the fault 'error'. */
  readonly streamError?: { readonly message: string; readonly code: number };
  /** Cut every write into pieces of so many bytes, each in a write of its own. */
  readonly pieceBytes?: number;
  /** Let the pieces leave together, as many HTTP chunks in one packet. */
  readonly corked?: boolean;
  /** Bytes (hex) sent as text of the first token, invalid UTF-8 allowed. */
  readonly rawHex?: string;
  readonly omitUsage?: boolean;
  /** Sent as the bill instead of the true one. */
  readonly usage?: unknown;
  readonly omitDone?: boolean;
  readonly continuousUsage?: boolean;
  /** Answer with one JSON body although asked to stream. */
  readonly nonStream?: boolean;
  /** Keep the answer open after [DONE]. */
  readonly leaveOpen?: boolean;
  readonly finishReason?: string;
  readonly stopReason?: string;
  readonly reasoning?: boolean;
  readonly toolCalls?: boolean;
  readonly lineEnd?: string;
  readonly comments?: boolean;
  /** Status of /health and /v1/models. */
  readonly healthStatus?: number;
  /** So many of the next answers of these have the status 503. */
  readonly healthFailures?: number;
  /** Wait before these answer, in milliseconds. */
  readonly healthMs?: number;
  /** Ids in /v1/models. */
  readonly models?: readonly string[];
}

/** Long enough for the socket to take what was written, so that a cut loses only what comes after it. */
const FLUSH_MS = 20;

const counts = { running: 0, aborted: 0, served: 0, blocked: 0, probes: 0 };
let script: FakeScript = JSON.parse(process.argv[2] ?? '{}');
let healthFailures = script.healthFailures ?? 0;
let gate = Promise.withResolvers<void>();
let last: unknown;

const server = createServer((request, response) => {
  route(request, response).catch((error: unknown) => {
    console.error('fake engine:', error);
    response.destroy();
  });
});

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = `${request.method} ${request.url}`;
  if (path === 'GET /running') return json(response, 200, { ...counts, last });
  if (path === 'GET /health') return json(response, await health(), { status: 'ok' });
  if (path === 'GET /v1/models') {
    const data = (script.models ?? ['fake-model']).map((id) => ({ id, object: 'model', max_model_len: 4096 }));
    return json(response, await health(), { object: 'list', data });
  }
  const body = await read(request);
  if (path === 'POST /script') {
    script = JSON.parse(body);
    healthFailures = script.healthFailures ?? 0;
    gate = Promise.withResolvers<void>();
    return json(response, 200, {});
  }
  if (path === 'POST /go') {
    gate.resolve();
    return json(response, 200, {});
  }
  if (path === 'POST /tokenize') return json(response, 200, { tokens: [1, 2, 3], count: 3 });
  if (path === 'POST /v1/embeddings') return json(response, 200, embeddings(JSON.parse(body)));
  if (path !== 'POST /v1/chat/completions' && path !== 'POST /v1/completions') {
    return json(response, 404, { detail: 'Not Found' });
  }
  last = { path: request.url, headers: request.headers, body: JSON.parse(body) };
  counts.running++;
  response.on('close', () => {
    counts.running--;
    if (response.writableFinished) counts.served++;
    else counts.aborted++;
  });
  const asked = JSON.parse(body);
  // One token is what a supervisor asks for before it trusts an engine: that goes well, the script is for what follows.
  const fake = asked.max_tokens === 1 && !script.warmUpToo ? {} : script;
  await generate(fake, asked, request.url === '/v1/chat/completions', response);
}

/** The status of a probe. */
async function health(): Promise<number> {
  counts.probes++;
  const fails = healthFailures-- > 0;
  if (script.healthMs) await delay(script.healthMs);
  return fails ? 503 : (script.healthStatus ?? 200);
}

async function generate(
  fake: FakeScript,
  body: Readonly<Record<string, unknown>>,
  isChat: boolean,
  response: ServerResponse,
): Promise<void> {
  if (fake.headersMs) await delay(fake.headersMs);
  if (fake.status && fake.endlessBody) {
    response.writeHead(fake.status, { 'content-type': 'application/json' });
    while (!response.destroyed) await write({}, response, Buffer.from(String(fake.body)));
    return;
  }
  const wanted = Number(body.max_tokens ?? 0);
  if (fake.contextTokens !== undefined && 5 + wanted > fake.contextTokens) {
    const message = `'max_tokens' or 'max_completion_tokens' is too large: ${wanted}. This model's maximum context length is ${fake.contextTokens} tokens and your request has 5 input tokens (${wanted} > ${fake.contextTokens} - 5).`;
    return json(response, 400, { error: { message, type: 'BadRequestError', param: null, code: 400 } });
  }
  if (fake.status) return json(response, fake.status, fake.body ?? {}, fake.headers);
  if (fake.nonStream) return json(response, 200, { choices: [{ index: 0, message: { content: 'whole' } }] });
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.flushHeaders();
  const choices = Number(body.n ?? 1);
  const before = fake.continues ? tokensBefore(fake, body) : 0;
  const total = fake.tokens ?? before + Number(body.max_tokens ?? 8);
  const perChunk = fake.perChunk ?? 1;
  const perWrite = fake.perWrite ?? 1;
  if (isChat)
    await write(fake, response, event(fake, { choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] }));
  if (fake.firstTokenMs) await delay(fake.firstTokenMs);
  let pending: Buffer[] = [];
  for (let token = before; token < total; token += perChunk) {
    if (fake.holdAtToken === token) await gate.promise;
    if (response.destroyed) return;
    if (fake.fault && token >= (fake.atToken ?? 0)) {
      if (pending.length > 0) await write(fake, response, Buffer.concat(pending));
      return misbehave(fake, response);
    }
    const size = Math.min(perChunk, total - token);
    for (let index = 0; index < choices; index++) pending.push(tokenEvent(fake, body, isChat, { index, token, size }));
    if (pending.length < perWrite && token + perChunk < total) continue;
    await write(fake, response, Buffer.concat(pending));
    pending = [];
    if (fake.everyMs) await delay(fake.everyMs);
  }
  if (fake.fault && total <= (fake.atToken ?? 0)) return misbehave(fake, response);
  const tail: Buffer[] = [];
  for (let index = 0; index < choices; index++) tail.push(finishEvent(fake, isChat, index));
  if (!fake.omitUsage)
    tail.push(event(fake, { choices: [], usage: fake.usage ?? usage((total - before) * choices, before) }));
  if (!fake.omitDone) tail.push(Buffer.from(`data: [DONE]${lineEnd(fake)}${lineEnd(fake)}`));
  await write(fake, response, Buffer.concat(tail));
  if (!fake.leaveOpen) response.end();
}

/** How many tokens of the answer stand at the end of what was asked. */
function tokensBefore(fake: FakeScript, { prompt, messages }: Readonly<Record<string, unknown>>): number {
  const last = Array.isArray(messages) ? messages.at(-1) : undefined;
  const text = last?.role === 'assistant' ? String(last.content) : String(prompt ?? '');
  let found = 0;
  let answer = '';
  for (let token = 0; answer.length < text.length; token++) {
    answer += fake.texts?.[token % fake.texts.length] ?? ` t${token}`;
    if (text.endsWith(answer)) found = token + 1;
  }
  return found;
}

function tokenEvent(
  fake: FakeScript,
  body: Readonly<Record<string, unknown>>,
  isChat: boolean,
  { index, token, size }: { index: number; token: number; size: number },
): Buffer {
  const numbers = Array.from({ length: size }, (_, offset) => token + offset);
  const text = numbers.map((at) => fake.texts?.[at % fake.texts.length] ?? ` t${at}`).join('');
  const hex = fake.rawHex && token === 0 ? '\u0000RAW\u0000' : text;
  const delta = fake.reasoning
    ? { reasoning_content: hex }
    : fake.toolCalls
      ? {
          tool_calls: [
            {
              index: 0,
              ...(token === 0 ? { id: 'call_1' } : {}),
              function: { ...(token === 0 ? { name: 'f' } : {}), arguments: hex },
            },
          ],
        }
      : { content: hex };
  const chunk = {
    id: 'x',
    choices: [
      {
        index,
        ...(isChat ? { delta } : { text: hex }),
        finish_reason: null,
        ...(fake.tokenIds || body.return_token_ids ? { token_ids: numbers.map((at) => 1000 + at) } : {}),
        ...(body.logprobs === true
          ? {
              logprobs: {
                content: numbers.map((at) => ({
                  token: ` t${at}`,
                  logprob: -0.5,
                  bytes: [32],
                  top_logprobs: [{ token: 'z', logprob: -1 }],
                })),
              },
            }
          : {}),
      },
    ],
    ...(fake.continuousUsage ? { usage: usage(token + size) } : {}),
  };
  const bytes = event(fake, chunk);
  if (hex === text) return bytes;
  const marker = Buffer.from(JSON.stringify('\u0000RAW\u0000').slice(1, -1));
  const at = bytes.indexOf(marker);
  return Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from(fake.rawHex ?? '', 'hex'),
    bytes.subarray(at + marker.length),
  ]);
}

function finishEvent(fake: FakeScript, isChat: boolean, index: number): Buffer {
  const reason = fake.finishReason ?? 'stop';
  return event(fake, {
    choices: [
      {
        index,
        ...(isChat ? { delta: {} } : { text: '' }),
        finish_reason: reason,
        stop_reason: fake.stopReason ?? null,
      },
    ],
  });
}

async function misbehave(fake: FakeScript, response: ServerResponse): Promise<void> {
  switch (fake.fault) {
    case 'exit':
      process.exit(0);
      break;
    case 'reset':
      await delay(FLUSH_MS);
      response.destroy();
      break;
    case 'hang':
      break;
    case 'deaf':
      server.close();
      server.closeAllConnections();
      // Without anything to wait for the process would end.
      setInterval(() => {}, 60_000);
      break;
    case 'error':
      await write(
        fake,
        response,
        event(fake, { error: fake.streamError ?? { message: 'CUDA error at /secret/path', code: 500 } }),
      );
      response.end('data: [DONE]\n\n');
      break;
    case 'abort':
      await write(fake, response, finishEvent({ finishReason: 'abort' }, true, 0));
      response.end('data: [DONE]\n\n');
      break;
    case 'garbage':
      response.end('data: {"choices": [nonsense\n\n');
      break;
    case 'huge':
      for (let part = 0; part < 64 && !response.destroyed; part++)
        await write(fake, response, Buffer.alloc(256 * 1024, 97));
      break;
    case 'half':
      await write(fake, response, Buffer.from('data: {"choices":[{"index":0,"del'));
      await delay(FLUSH_MS);
      response.destroy();
      break;
    default:
      response.end();
  }
}

async function write(fake: FakeScript, response: ServerResponse, bytes: Buffer): Promise<void> {
  const size = fake.pieceBytes ?? bytes.length;
  if (fake.corked) response.socket?.cork();
  for (let at = 0; at < bytes.length; at += size) {
    if (response.destroyed) return;
    if (!response.write(bytes.subarray(at, at + size))) {
      counts.blocked++;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          response.off('drain', go).off('close', go);
          resolve();
        };
        response.on('drain', go).on('close', go);
      });
      counts.blocked--;
    }
    // A turn of the event loop, so that the pieces are not joined again.
    if (size < bytes.length && !fake.corked) await delay(0);
  }
  if (fake.corked) response.socket?.uncork();
}

function event(fake: FakeScript, chunk: unknown): Buffer {
  const comment = fake.comments ? `: ping${lineEnd(fake)}event: message${lineEnd(fake)}` : '';
  return Buffer.from(`${comment}data: ${JSON.stringify(chunk)}${lineEnd(fake)}${lineEnd(fake)}`);
}

function lineEnd(fake: FakeScript): string {
  return fake.lineEnd ?? '\n';
}

function usage(completionTokens: number, before = 0): object {
  const promptTokens = 5 + before;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 2 },
  };
}

function embeddings({ input, dimensions }: { input: unknown[]; dimensions?: number }): object {
  const data = input.map((text, index) => ({ index, embedding: fakeVector(text, dimensions) }));
  return { data, usage: { prompt_tokens: 5 * input.length } };
}

function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(text);
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const flag = process.argv[3];
const value = process.argv[4];
if (flag === '--socket' && value) {
  server.listen(value, () => console.log(JSON.stringify({ socket: value })));
} else {
  server.listen(flag === '--port' ? Number(value) : 0, '127.0.0.1', () => {
    console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
  });
}
process.on('SIGTERM', () => process.exit(0));
