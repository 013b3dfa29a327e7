import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Child, freePort, httpStatus, startChild, untilReady } from './harness/child.ts';
import { compileNative, missingRequirements } from './harness/native.ts';

const missing = missingRequirements({ nginx: false });
if (missing.length > 0) console.warn(`bench/engine.test.ts skipped, the machine lacks: ${missing.join('; ')}`);

const usage = z.strictObject({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() });
const chunkSchema = z.strictObject({
  id: z.string().startsWith('chatcmpl-'),
  object: z.literal('chat.completion.chunk'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.strictObject({
      index: z.literal(0),
      delta: z.strictObject({ role: z.literal('assistant').optional(), content: z.string() }),
      logprobs: z.null(),
      finish_reason: z.enum(['stop']).nullable(),
    }),
  ),
  usage: usage.optional(),
});

describe.skipIf(missing.length > 0)('mock engine', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'bench-engine-'));
  let engine: Child;
  let base: string;

  beforeAll(async () => {
    const port = await freePort();
    base = `http://127.0.0.1:${port}`;
    engine = startChild([compileNative().engine, String(port)], { cwd: scratch, environment: {} });
    await untilReady(engine, async () => (await httpStatus(`${base}/health`)) === 200);
  });
  afterAll(async () => {
    await engine.stop();
    rmSync(scratch, { recursive: true });
  });

  function chat(body: object, signal?: AbortSignal): Promise<Response> {
    return fetch(`${base}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(body),
      ...(signal !== undefined && { signal }),
    });
  }

  async function streamEvents(body: object): Promise<string[]> {
    const response = await chat({ ...body, stream: true });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = (await response.text()).split('\n\n');
    expect(events.pop()).toBe(''); // the last event is terminated too
    return events.map((event) => {
      expect(event.startsWith('data: ')).toBe(true);
      return event.slice('data: '.length);
    });
  }

  test.each(['burst', 'paced', 'lock'])('%s: every event is a chunk as OpenAI sends it', async (model) => {
    const events = await streamEvents({ model, max_tokens: 40, seed: 1, stream_options: { include_usage: true } });
    expect(events.pop()).toBe('[DONE]');
    const chunks = events.map((data) => chunkSchema.parse(JSON.parse(data)));
    expect(chunks.length).toBe(1 + 40 + 1 + 1);
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' });
    const tokens = chunks.slice(1, 41).map((chunk) => chunk.choices[0]);
    for (const token of tokens) {
      expect(token?.delta.content).toMatch(/^ t0\d{15}$/);
      expect(token?.finish_reason).toBeNull();
    }
    expect(chunks[41]?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks[42]?.choices).toEqual([]);
    expect(chunks[42]?.usage).toEqual({ prompt_tokens: 23, completion_tokens: 40, total_tokens: 63 });
  });

  test('the usage chunk comes only when asked for', async () => {
    const events = await streamEvents({ model: 'burst', max_tokens: 2 });
    expect(events.length).toBe(1 + 2 + 1 + 1);
    expect(events.join()).not.toContain('usage');
  });

  test('paced tokens keep their distance', async () => {
    const events = await streamEvents({ model: 'paced', max_tokens: 10, seed: 20 });
    const sentUs = events.flatMap((data) => / t(\d{16})"/.exec(data)?.[1] ?? []).map(Number);
    const totalMs = ((sentUs.at(-1) ?? 0) - (sentUs[0] ?? 0)) / 1e3;
    // 9 distances; lateness of the timer does not add up. The upper bound only catches a wrong unit.
    expect(totalMs).toBeGreaterThan(9 * 20 - 5);
    expect(totalMs).toBeLessThan(9 * 20 * 100);
  });

  test('without stream: one completion with its usage', async () => {
    const answer = await (await chat({ model: 'mock', max_tokens: 128 })).json();
    expect(answer).toMatchObject({
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 23, completion_tokens: 128, total_tokens: 151 },
    });
  });

  test('lists its models and answers 404 elsewhere', async () => {
    const list = z.object({ object: z.literal('list'), data: z.array(z.object({ id: z.string() })) });
    const { data } = list.parse(await (await fetch(`${base}/v1/models`)).json());
    expect(data.map((model) => model.id)).toEqual(['mock', 'burst', 'paced', 'lock']);
    expect(await httpStatus(`${base}/v1/embeddings`)).toBe(404);
  });

  test('takes a chunked body in pieces', async () => {
    const body = await new Promise<string>((resolve, reject) => {
      const outgoing = request(`${base}/v1/chat/completions`, { method: 'POST' }, async (response) => {
        resolve(Buffer.concat(await response.toArray()).toString());
      });
      outgoing.on('error', reject);
      outgoing.write('{"model":"burst","stream"');
      outgoing.write(':true,"max_tokens":');
      outgoing.end('3}');
    });
    expect(body.match(/ t0\d{15}/g)).toHaveLength(3);
  });

  test('goes on after a client left in the middle', async () => {
    const leaving = new AbortController();
    const response = await chat({ model: 'paced', max_tokens: 100_000, seed: 1, stream: true }, leaving.signal);
    await response.body?.getReader().read();
    leaving.abort();
    expect(await streamEvents({ model: 'burst', max_tokens: 5 })).toHaveLength(1 + 5 + 1 + 1);
    engine.assertRunning();
  });

  test('tells which streams were left and when, and how many run', async () => {
    const leaving = new AbortController();
    const body = { model: 'paced', max_tokens: 100_000, seed: 700_001, stream: true };
    const response = await chat(body, leaving.signal);
    await response.body?.getReader().read();
    const left = async () => (await (await fetch(`${base}/left`)).json()) as { running: number; left: number[][] };
    await expect.poll(async () => (await left()).running).toBe(1);
    const beforeUs = Number(process.hrtime.bigint() / 1000n);
    leaving.abort();
    const seen: number[][] = [];
    await expect.poll(async () => seen.push(...(await left()).left)).toBe(1);
    expect(seen[0]?.[0]).toBe(7);
    expect(seen[0]?.[1]).toBeGreaterThanOrEqual(beforeUs);
    expect(await left()).toEqual({ running: 0, left: [] });
  });
});
