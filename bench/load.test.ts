import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type LoadFigures, type LoadTarget, runLoad } from './harness/load.ts';
import { compileNative, missingRequirements } from './harness/native.ts';
import type { Workload } from './harness/workloads.ts';

const missing = missingRequirements({ nginx: false });
if (missing.length > 0) console.warn(`bench/load.test.ts skipped, the machine lacks: ${missing.join('; ')}`);

const TOKENS = 3;
const workload: Workload = {
  name: 'test',
  kind: 'stream',
  description: '',
  concurrency: 2,
  seconds: 5,
  requests: 4,
  rampMs: 0,
  body: { model: 'paced', max_tokens: TOKENS, stream: true },
};

/** Stamps as the engine sends them: CLOCK_MONOTONIC, which is also what hrtime reads. */
function token(): string {
  return ` t${String(process.hrtime.bigint() / 1000n).padStart(16, '0')}`;
}
const event = (content: string) => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
const sse = { 'content-type': 'text/event-stream' };

describe.skipIf(missing.length > 0)('load client', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'bench-load-'));
  let program: string;
  let server: Server | undefined;
  const openedAtMs = new WeakMap<Socket, number>();

  beforeAll(() => {
    program = compileNative().load;
  });
  afterEach(() => server?.close());
  afterAll(() => rmSync(scratch, { recursive: true }));

  async function loadOn(
    listener: RequestListener,
    changes: Partial<Workload> = {},
    target: Partial<LoadTarget> = {},
  ): Promise<LoadFigures> {
    server = createServer(listener);
    const listening = server;
    listening.on('connection', (socket) => openedAtMs.set(socket, performance.now()));
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    const address = listening.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return runLoad(
      program,
      { port: address.port, token: 'sk-of-the-test', ...target },
      { ...workload, ...changes },
      {
        core: 0,
        scratch,
        signal: AbortSignal.timeout(20_000),
      },
    );
  }

  test('counts whole streams, also with several tokens in one event or one event in several pieces', async () => {
    const figures = await loadOn((_, response) => {
      response.writeHead(200, sse);
      response.write(event(token() + token()));
      const last = event(token());
      response.write(last.slice(0, 60));
      setImmediate(() => response.end(`${last.slice(60)}data: [DONE]\n\n`));
    });
    expect(figures).toMatchObject({ requests: 4, errors: 0, tokens: 4 * TOKENS });
    expect(figures.transitP50Us).toBeLessThan(1e6);
    expect(figures.firstTokenP50Us).toBeLessThanOrEqual(figures.latencyP50Us);
  });

  test('sends the key and the body', async () => {
    const seen: string[] = [];
    await loadOn(async (request, response) => {
      seen.push(`${request.headers.authorization} ${Buffer.concat(await request.toArray())}`);
      response.writeHead(200, sse).end();
    });
    expect(seen[0]).toBe(`Bearer sk-of-the-test ${JSON.stringify(workload.body)}`);
  });

  test.each<[problem: string, listener: RequestListener]>([
    ['status 401', (_, response) => response.writeHead(401).end('{"error":"no"}')],
    ['no answer', (request) => request.socket.destroy()],
    ['2 tokens', (_, response) => response.writeHead(200, sse).end(`${event(token() + token())}data: [DONE]\n\n`)],
    ['no [DONE]', (_, response) => response.writeHead(200, sse).end(event(token() + token() + token()))],
    ['not an event stream', (_, response) => response.writeHead(200).end('{}')],
    [
      'connection cut',
      (_, response) => {
        response.writeHead(200, sse);
        response.write(event(token()), () => response.destroy());
      },
    ],
  ])('counts as error: %s', async (problem, listener) => {
    expect(await loadOn(listener)).toMatchObject({ requests: 0, errors: 4, firstError: problem });
  });

  test('in an open loop, latency counts from when a request was due, not from when a connection was free', async () => {
    const body = { model: 'mock', max_tokens: 1 };
    const slow = { requestsPerSecond: 100, requests: 8, concurrency: 1, body };
    let answered = 0;
    const figures = await loadOn((_, response) => {
      setTimeout(() => response.writeHead(200).end('{}'), 100);
      answered += 1;
    }, slow);
    expect(figures).toMatchObject({ requests: 8, errors: 0 });
    expect(answered).toBe(8);
    // All are due within some 80 ms, one after the other takes 100 ms each: the last has waited for the seven before it.
    expect(figures.latencyP99Us).toBeGreaterThan(500_000);
  });

  test('in an open loop, a slow answer does not hold up what comes after it', async () => {
    const waiting: (() => void)[] = [];
    const body = { model: 'mock', max_tokens: 1 };
    const figures = await loadOn(
      (_, response) => {
        waiting.push(() => response.writeHead(200).end('{}'));
        if (waiting.length === 6) for (const answer of waiting) answer();
      },
      { requestsPerSecond: 200, requests: 6, concurrency: 10, body },
    );
    expect(figures).toMatchObject({ requests: 6, errors: 0 });
  });

  test('leaves in the middle of streams that have numbers, and says when', async () => {
    const seeds: number[] = [];
    let closed = 0;
    const figures = await loadOn(
      async (request, response) => {
        seeds.push(JSON.parse(Buffer.concat(await request.toArray()).toString()).seed);
        response.on('close', () => {
          closed += 1;
        });
        response.writeHead(200, sse).write(event(token()) + event(token()));
      },
      { leaveAfterTokens: 2, body: { ...workload.body, seed: 20 } },
    );
    expect(figures).toMatchObject({ requests: 4, errors: 0 });
    expect(seeds.toSorted()).toEqual([100_020, 200_020, 300_020, 400_020]);
    expect(figures.left.map(([number]) => number).toSorted()).toEqual([1, 2, 3, 4]);
    await expect.poll(() => closed).toBe(4);
  });

  test('counts transit in the part of the run that it is told, and tokens that are late', async () => {
    const late = () => ` t${String(process.hrtime.bigint() / 1000n - 50_000n).padStart(16, '0')}`;
    const listener: RequestListener = (_, response) => {
      response.writeHead(200, sse);
      response.end(`${event(late())}${event(token())}${event(token())}data: [DONE]\n\n`);
    };
    const all = await loadOn(listener);
    expect(all.countedTokens).toBe(12);
    expect(all.lateTokens).toBeGreaterThanOrEqual(4);
    expect(all.transitMaxUs).toBeGreaterThan(50_000);
    server?.close();
    expect(await loadOn(listener, { countMs: { from: 60_000, until: 61_000 } })).toMatchObject({
      countedTokens: 0,
      lateTokens: 0,
      tokens: 12,
    });
  });

  test('opens a connection shortly before its first request, also where many start one after the other', async () => {
    const waitedMs: number[] = [];
    const waiting: (() => void)[] = [];
    const figures = await loadOn(
      (request, response) => {
        waitedMs.push(performance.now() - (openedAtMs.get(request.socket) ?? 0));
        waiting.push(() => response.writeHead(200, sse).end(`${event(token() + token() + token())}data: [DONE]\n\n`));
        // Answers at the end, so that no connection sends twice.
        if (waiting.length === 4) for (const answer of waiting) answer();
      },
      { concurrency: 4, requests: 4, rampMs: 4_000 },
    );
    expect(figures).toMatchObject({ requests: 4, errors: 0 });
    // The last would have waited for 3 s.
    expect(Math.max(...waitedMs)).toBeLessThan(2_000);
  });

  test('gives the keys in turn', async () => {
    const seen: (string | undefined)[] = [];
    await loadOn(
      (request, response) => {
        seen.push(request.headers.authorization);
        response.writeHead(200, sse).end();
      },
      { concurrency: 1 },
      { keys: ['a', 'b', 'c'] },
    );
    expect(seen).toEqual(['Bearer b', 'Bearer c', 'Bearer a', 'Bearer b']);
  });
});
