// An OpenAI-compatible server that counts what it makes, by request. Start it as a child process:
//
//   node test/chaos/counting-engine.ts
//
// It prints {"port":N} when it listens. A prompt is an EnginePlan as JSON; `GET /counts` tells the EngineRecord of each
// request with one.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { EngineRecord } from './history.ts';

/** What the engine does with one request. */
export interface EnginePlan {
  /** How many tokens it makes. */
  readonly tokens: number;
  /** After this token it waits until its client has left. Unset: it does not. */
  readonly waitAt?: number;
  /** Pause between two tokens, in milliseconds. */
  readonly everyMs: number;
  /** Whether it tells the text of each token with its probability. */
  readonly logprobs: boolean;
}

/** How many tokens every prompt has. */
const PROMPT_TOKENS = 8;

const counts = new Map<string, EngineRecord>();

const server = createServer((request, response) => {
  route(request, response).catch((error: unknown) => {
    console.error('counting engine:', error);
    response.destroy();
  });
});

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = `${request.method} ${request.url}`;
  if (path === 'GET /counts') return answer(response, [...counts.values()]);
  if (path === 'GET /v1/models')
    return answer(response, { object: 'list', data: [{ id: 'chaos', max_model_len: 4096 }] });
  const body = JSON.parse(await read(request)) as { messages?: { content: string }[]; prompt?: string };
  const prompt = body.messages?.[0]?.content ?? body.prompt ?? '';
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  // A supervisor asks before it trusts an engine.
  if (!prompt.startsWith('{')) return finish(response, 1);
  const requestId = String(request.headers['x-request-id']);
  await stream(response, requestId, JSON.parse(prompt) as EnginePlan, body.messages !== undefined);
}

async function stream(response: ServerResponse, requestId: string, plan: EnginePlan, isChat: boolean): Promise<void> {
  const last = plan.waitAt ?? plan.tokens;
  for (let made = 1; made <= last; made += 1) {
    if (response.destroyed) return;
    const text = ` t${made}`;
    const content = isChat ? { delta: { content: text } } : { text };
    const logprobs = plan.logprobs ? { logprobs: probabilityOf(text, isChat) } : {};
    const choice = { index: 0, ...content, ...logprobs, finish_reason: null };
    // Counted before it is written: what was not counted cannot have left.
    counts.set(requestId, {
      ...{ requestId, promptTokens: PROMPT_TOKENS, madeTokens: made, isComplete: made === last },
      tellsTokens: plan.logprobs,
    });
    response.write(event({ choices: [choice], usage: usage(made) }));
    await delay(plan.everyMs);
  }
  if (plan.waitAt === undefined) finish(response, plan.tokens, isChat);
}

function finish(response: ServerResponse, tokens: number, isChat = true): void {
  const choice = { index: 0, ...(isChat ? { delta: {} } : { text: '' }), finish_reason: 'stop' };
  response.end(`${event({ choices: [choice] })}${event({ choices: [], usage: usage(tokens) })}data: [DONE]\n\n`);
}

function probabilityOf(token: string, isChat: boolean): object {
  if (isChat) return { content: [{ token, logprob: -0.5, bytes: [...Buffer.from(token)], top_logprobs: [] }] };
  return { tokens: [token], token_logprobs: [-0.5], top_logprobs: [{}], text_offset: [0] };
}

function usage(tokens: number): object {
  return { prompt_tokens: PROMPT_TOKENS, completion_tokens: tokens, total_tokens: PROMPT_TOKENS + tokens };
}

function event(data: object): string {
  return `data: ${JSON.stringify({ id: 'x', ...data })}\n\n`;
}

function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function read(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
