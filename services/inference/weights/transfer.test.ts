import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import { SIZE_BYTES, startWeightsTest, WEIGHTS, type WeightsTest } from './test-weights.ts';

let weights: WeightsTest;
afterEach(() => weights.close());

const problems = () => weights.log.flatMap(({ problem }) => problem ?? []);

const ranges = () => weights.hub.transfers().map(({ range }) => range);

/** Waits until the part has as many bytes, then aborts. */
async function abortAt(bytes: number): Promise<string> {
  weights.hub.script.stallAfterBytes = bytes;
  const stop = new AbortController();
  const obtained = weights.obtain('hf:user/model', { signal: stop.signal });
  obtained.catch(() => {});
  const part = await expect
    .poll(() => {
      const name = weights.kept().find((kept) => kept.endsWith('.part')) ?? '';
      const path = join(weights.modelsDirectory, 'user--model', name);
      return name !== '' && statSync(path).size === bytes ? path : undefined;
    })
    .toBeDefined()
    .then(() => weights.kept().find((kept) => kept.endsWith('.part')) ?? '');
  stop.abort();
  await expect(obtained).rejects.toBe(stop.signal.reason);
  weights.hub.script.stallAfterBytes = undefined;
  return join(weights.modelsDirectory, 'user--model', part);
}

test('a connection that is cut is resumed where it was cut, by range and tag', async () => {
  weights = await startWeightsTest();
  weights.hub.script.cutAfterBytes = [100_000, 50_000];
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(ranges()).toEqual([undefined, 'bytes=100000-', 'bytes=150000-']);
  expect(weights.hub.transfers().map(({ ifRange }) => ifRange)).toEqual([undefined, '"one"', '"one"']);
  expect(weights.hub.sentBytes()).toBe(SIZE_BYTES);
});

test('an abort ends promptly, keeps the part, and the next call fetches only the rest', async () => {
  weights = await startWeightsTest();
  const part = await abortAt(120_000);
  expect(statSync(part).size).toBe(120_000);
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(ranges()).toEqual([undefined, 'bytes=120000-']);
  expect(weights.hub.sentBytes()).toBe(SIZE_BYTES);
  expect(weights.kept()).toEqual(['a-Q4_K_M.gguf', 'verified.json']);
});

test('a server without ranges sends everything again', async () => {
  weights = await startWeightsTest();
  weights.hub.script.ranges = false;
  weights.hub.script.cutAfterBytes = [100_000];
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(weights.hub.sentBytes()).toBe(100_000 + SIZE_BYTES);
});

test('a tag that has changed meanwhile starts over, whether the server compares it or not', async () => {
  weights = await startWeightsTest();
  await abortAt(120_000);
  weights.hub.script.etag = '"two"';
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(weights.hub.sentBytes()).toBe(120_000 + SIZE_BYTES);
  await weights.close();

  weights = await startWeightsTest();
  await abortAt(120_000);
  weights.hub.script.etag = '"two"';
  weights.hub.script.comparesTags = false;
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(ranges()).toEqual([undefined, 'bytes=120000-', undefined]);
});

test('a partial answer that begins elsewhere is not appended', async () => {
  weights = await startWeightsTest();
  weights.hub.script.cutAfterBytes = [100_000];
  weights.hub.script.rangeShiftBytes = 10;
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(ranges()).toEqual([undefined, 'bytes=100000-', undefined]);
  expect(problems()).toEqual([expect.stringContaining('127.0.0.1'), expect.stringContaining('has changed')]);
});

test('a weak tag or none resumes without it', async () => {
  for (const etag of ['W/"x"', undefined]) {
    weights = await startWeightsTest();
    weights.hub.script.etag = etag;
    weights.hub.script.cutAfterBytes = [100_000];
    expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
    expect(weights.hub.transfers().map(({ ifRange }) => ifRange)).toEqual([undefined, undefined]);
    expect(weights.hub.sentBytes()).toBe(SIZE_BYTES);
    if (etag !== undefined) await weights.close();
  }
});

test('a part that is whole is only verified; one that is longer than the file is thrown away', async () => {
  weights = await startWeightsTest();
  const part = await abortAt(120_000);
  writeFileSync(part, WEIGHTS);
  await weights.obtain();
  expect(weights.hub.transfers()).toHaveLength(1);
  await weights.close();

  weights = await startWeightsTest();
  const other = await abortAt(120_000);
  truncateSync(other, SIZE_BYTES + 5);
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
});

test('a wrong byte is found and everything is fetched again, three times at most', async () => {
  weights = await startWeightsTest();
  weights.hub.script.corruptAnswers = 1;
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(weights.hub.transfers()).toHaveLength(2);
  expect(weights.log.some(({ problem }) => String(problem).includes('checksum'))).toBe(true);
  await weights.close();

  weights = await startWeightsTest();
  weights.hub.script.corruptAnswers = Number.POSITIVE_INFINITY;
  const failed = weights.obtain();
  await expect(failed).rejects.toThrow(TemporaryError);
  await expect(failed).rejects.toThrow(/^--model hf:user\/model: a-Q4_K_M\.gguf has another checksum.* 3 times/);
  expect(weights.hub.transfers()).toHaveLength(3);
  expect(weights.kept()).toEqual([]);
});

test('a file of another size than listed is wrong, and no byte more than listed is kept', async () => {
  weights = await startWeightsTest();
  weights.hub.listed.set('a-Q4_K_M.gguf', { size: SIZE_BYTES - 1 });
  await expect(weights.obtain()).rejects.toThrow(/300000 bytes and not 299999 as listed, 3 times/);
  expect(weights.kept()).toEqual([]);
});

test('a content network that fails for a while is asked again; one that fails on ends it with what to do', async () => {
  weights = await startWeightsTest();
  weights.hub.script.contentRefusals = { status: 403, times: 2 };
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  await weights.close();

  weights = await startWeightsTest();
  weights.hub.script.contentRefusals = { status: 503, times: Number.POSITIVE_INFINITY };
  const failed = weights.obtain();
  await expect(failed).rejects.toThrow(TemporaryError);
  await expect(failed).rejects.toThrow(/content network of the hub answers 503.*start again/);
  expect(weights.hub.transfers()).toHaveLength(6);
});

test('cuts that get nowhere end it; what was fetched stays', async () => {
  weights = await startWeightsTest();
  weights.hub.script.cutAfterBytes = [100_000, 0, 0, 0, 0, 0, 0, 0];
  await expect(weights.obtain()).rejects.toThrow(
    /^--model hf:user\/model: .*(hangs up|ended).*goes on with what is kept in/,
  );
  expect(weights.hub.transfers()).toHaveLength(6);
  expect(weights.kept().filter((name) => name.endsWith('.part'))).toHaveLength(1);
  await weights.close();

  weights = await startWeightsTest();
  weights.hub.script.ranges = false;
  weights.hub.script.cutAfterBytes = Array(20).fill(200_000);
  await expect(weights.obtain()).rejects.toThrow(TemporaryError);
  expect(weights.hub.transfers()).toHaveLength(6);
});

test('a full disk is named', async () => {
  weights = await startWeightsTest();
  weights.hub.listed.set('a-Q4_K_M.gguf', { size: 2 ** 52 });
  const failed = weights.obtain();
  await expect(failed).rejects.toThrow(ConfigError);
  await expect(failed).rejects.toThrow(/^--model hf:user\/model: not enough room .* GB are needed.*--data-dir/);
  expect(weights.hub.transfers()).toEqual([]);
});
