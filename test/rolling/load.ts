import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { type Payer, textOf, tokenTexts } from '../faults/caller.ts';

/** What one client does, again and again. */
export type Kind = 'stream' | 'unary' | 'task';

/** A client that never asks the same twice. */
export interface LoadClient {
  readonly kind: Kind;
  readonly payer: Payer;
  /** How many answers it has had, each of `tokens`. */
  readonly count: () => number;
  readonly tokens: number;
  /** How often its streams went on at another engine. */
  readonly moves: () => number;
  /** How often it was told to come back, by a mesh too busy to answer in time. */
  readonly refusals: () => number;
  /** What went wrong, each with when. */
  readonly problems: readonly string[];
  /** Lets it finish what it has begun. */
  end(): Promise<void>;
}

/** How often a task is asked for, in milliseconds. */
const ASK_EVERY_MS = 200;

/** What `Retry-After` says at most where a part of the mesh is late, in milliseconds. */
const COME_BACK_MS = 1_000;

/** Starts one with a connection of HTTP/1.1 of its own, which it keeps until it is told to close it. */
export function startLoad(url: string, kind: Kind, payer: Payer, tokens: number): LoadClient {
  const problems: string[] = [];
  const agent = new Agent({ connections: 1, pipelining: 1, bodyTimeout: 0, headersTimeout: 0 });
  const whole = tokenTexts(tokens);
  let count = 0;
  let moves = 0;
  let refusals = 0;
  let isEnding = false;

  async function ask(
    method: 'GET' | 'POST',
    path: string,
    body?: object,
    key: string = randomUUID(),
  ): Promise<{ status: number; text: string }> {
    const answer = await request(`${url}${path}`, {
      ...{ method, dispatcher: agent },
      headers: { 'x-api-key': payer.secret, 'content-type': 'application/json', 'idempotency-key': key },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  /** Does as it is told: a refusal that says when to come back is no answer. */
  async function askWell(...asked: Parameters<typeof ask>): Promise<string> {
    for (;;) {
      const { status, text } = await ask(...asked);
      if (status < 400) return text;
      if ((status !== 503 && status !== 504) || /shutting.down/.test(text)) {
        throw new Error(`${asked[1]}: ${status} ${text}`);
      }
      refusals += 1;
      await delay(COME_BACK_MS);
    }
  }

  async function once(): Promise<string> {
    const messages = [{ role: 'user', content: 'hi' }];
    if (kind === 'task') return await runTask();
    const text = await askWell('POST', '/v1/chat/completions', {
      ...{ model: 'twin', messages, max_tokens: tokens, stream: kind === 'stream' },
    });
    if (kind === 'unary') return JSON.parse(text).choices[0].message.content as string;
    moves += text.match(/^: resumed /gm)?.length ?? 0;
    if (!text.endsWith('data: [DONE]\n\n')) throw new Error(`a stream has no end: ${text.slice(-400)}`);
    return textOf(text);
  }

  async function runTask(): Promise<string> {
    const { task_id: id } = JSON.parse(
      await askWell('POST', '/generate', { prompt: 'hi', model: 'twin', max_tokens: tokens }, randomUUID()),
    );
    for (;;) {
      const result = JSON.parse(await askWell('GET', `/result/${id}`));
      if (result.status === 'error') throw new Error(`a task failed: ${JSON.stringify(result)}`);
      if (result.status === 'completed') return result.result as string;
      await delay(ASK_EVERY_MS);
    }
  }

  async function run(): Promise<void> {
    while (!isEnding) {
      const beganAt = new Date();
      try {
        const text = await once();
        count += 1;
        if (text !== whole) problems.push(`${beganAt.toISOString()}: not the whole answer once: ${text}`);
      } catch (error) {
        problems.push(`${beganAt.toISOString()} to ${new Date().toISOString()}: ${String(error)}`);
        // One problem is enough to know of; a thousand of them hide the first.
        await delay(500);
      }
    }
  }

  const running = run();
  return {
    ...{ kind, payer, tokens, problems, count: () => count, moves: () => moves, refusals: () => refusals },
    async end() {
      isEnding = true;
      await running;
      await agent.close();
    },
  };
}
