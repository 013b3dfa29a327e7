import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type LoadFigures, runLoad } from './harness/load.ts';
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

  beforeAll(() => {
    program = compileNative().load;
  });
  afterEach(() => server?.close());
  afterAll(() => rmSync(scratch, { recursive: true }));

  async function loadOn(listener: RequestListener): Promise<LoadFigures> {
    server = createServer(listener);
    const listening = server;
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    const address = listening.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return runLoad(program, { port: address.port, token: 'sk-of-the-test' }, workload, {
      core: 0,
      scratch,
      signal: AbortSignal.timeout(20_000),
    });
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
});
