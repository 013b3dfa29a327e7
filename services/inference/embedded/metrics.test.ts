import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { type EmbeddedEngine, responseOf, startEmbeddedEngine, until } from '../../../test/fixtures/embedded-engine.ts';

let engine: EmbeddedEngine;
afterEach(() => engine.stop());

/** Reads the text format: every sample needs its HELP and TYPE, and a value that is a number. */
async function scrape(): Promise<ReadonlyMap<string, number>> {
  const { status, headers, text } = await engine.get('/metrics');
  expect([status, headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  const values = new Map<string, number>();
  for (const block of text.split('# HELP ').slice(1)) {
    const [help, type, sample, rest, ...more] = block.split('\n');
    const name = String(help).split(' ', 1)[0] ?? '';
    expect(name).toMatch(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/);
    expect(type).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge)$`));
    expect(sample).toMatch(new RegExp(`^${name} [0-9.e+-]+$`));
    expect([rest, more]).toEqual(['', []]);
    values.set(name.replace(/^llamacpp:/, ''), Number(sample?.split(' ')[1]));
  }
  return values;
}
async function usage(fields: object): Promise<{ prompt_tokens: number; completion_tokens: number }> {
  const { text } = await engine.post('/v1/completions', { temperature: 0, max_tokens: 30, ...fields });
  return JSON.parse(text).usage;
}

test('what it counts is what was generated', async () => {
  engine = await startEmbeddedEngine(['--sequences', '2', '--context', '512']);
  expect((await scrape()).get('tokens_predicted_total')).toBe(0);
  const answers = await Promise.all([usage({ prompt: 'the river' }), usage({ prompt: 'hello there', max_tokens: 50 })]);
  const values = await scrape();
  const sum = (pick: (answer: (typeof answers)[number]) => number) =>
    answers.reduce((total, answer) => total + pick(answer), 0);
  const completion = sum(({ completion_tokens }) => completion_tokens);
  expect(completion).toBe(80);
  expect(values.get('tokens_predicted_total')).toBe(completion);
  expect(values.get('prompt_tokens_total')).toBe(sum(({ prompt_tokens }) => prompt_tokens));
  expect(values.get('n_decode_total')).toBeGreaterThanOrEqual(50);
  expect(values.get('n_decode_total')).toBeLessThanOrEqual(80);
  const inMemory = sum(({ prompt_tokens, completion_tokens }) => prompt_tokens + completion_tokens - 1);
  expect(values.get('kv_cache_tokens')).toBe(inMemory);
  expect(values.get('kv_cache_usage_ratio')).toBeCloseTo(inMemory / 1024, 9);
  expect(values.get('n_tokens_max')).toBe(Math.max(...answers.map((a) => a.prompt_tokens + a.completion_tokens - 1)));
  expect(values.get('prompt_seconds_total')).toBeGreaterThan(0);
  expect(values.get('tokens_predicted_seconds_total')).toBeGreaterThan(0);
  const busy = (values.get('n_busy_slots_per_decode') ?? 0) * (values.get('n_decode_total') ?? 0);
  expect(busy).toBeCloseTo(80, 6);
});

test('what a prompt shares with the one before is not counted as computed', async () => {
  engine = await startEmbeddedEngine(['--sequences', '1']);
  const first = await usage({ prompt: 'the river and the sea', max_tokens: 1 });
  await usage({ prompt: 'the river and the sea', max_tokens: 1 });
  // The last token is always computed.
  expect((await scrape()).get('prompt_tokens_total')).toBe(first.prompt_tokens + 1);
});

test('it tells who runs and who waits, and counts what a client that left had got', async () => {
  engine = await startEmbeddedEngine(['--sequences', '1']);
  const body = { prompt: 'the river', temperature: 0, max_tokens: 4000, stream: true };
  const running = engine.open('/v1/completions', body);
  await once(await responseOf(running), 'data');
  const waiting = engine.open('/v1/completions', body);
  await until(async () => (await scrape()).get('requests_deferred') === 1);
  expect((await scrape()).get('requests_processing')).toBe(1);
  waiting.destroy();
  running.destroy();
  await until(async () => (await scrape()).get('requests_processing') === 0);
  const values = await scrape();
  expect(values.get('requests_deferred')).toBe(0);
  expect(values.get('tokens_predicted_total')).toBeGreaterThan(0);
  expect(values.get('tokens_predicted_seconds_total')).toBeGreaterThan(0);
});
