import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { eventually, startProgram } from '../../../test/harness/processes.ts';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import { SIZE_BYTES, startWeightsTest, WEIGHTS, type WeightsTest } from './test-weights.ts';

let weights: WeightsTest;
afterEach(() => weights.close());

const TOKEN = 'hf_secret';
const withToken = () => ({ hub: { endpoint: weights.hub.endpoint, token: TOKEN, offline: false } });

test('what is there and verified is used without a request, also when the hub is gone or forbidden', async () => {
  weights = await startWeightsTest();
  const path = await weights.obtain();
  expect(path).toBe(join(weights.modelsDirectory, 'user--model', 'a-Q4_K_M.gguf'));
  expect(statSync(path).mode & 0o077).toBe(0);
  const requests = weights.hub.requests.length;
  expect(await weights.obtain()).toBe(path);
  expect(weights.hub.requests).toHaveLength(requests);
  await weights.hub.stop();
  expect(await weights.obtain()).toBe(path);
  expect(
    await weights.obtain('hf:user/model', { hub: { endpoint: 'http://h', token: undefined, offline: true } }),
  ).toBe(path);
});

test('what is not there and may not be fetched ends it', async () => {
  weights = await startWeightsTest();
  const failed = weights.obtain('hf:user/model', { hub: { endpoint: 'http://h', token: undefined, offline: true } });
  await expect(failed).rejects.toThrow(ConfigError);
  await expect(failed).rejects.toThrow(/^--model hf:user\/model: .*HF_HUB_OFFLINE/);
});

test('a file of another size than recorded is fetched again; one without a record is only verified', async () => {
  weights = await startWeightsTest();
  const path = await weights.obtain();
  truncateSync(path, 1_000);
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
  expect(weights.hub.transfers()).toHaveLength(2);
  rmSync(join(weights.modelsDirectory, 'user--model', 'verified.json'));
  await weights.obtain();
  await weights.obtain('hf:user/model:q4_k_m');
  expect(weights.hub.transfers()).toHaveLength(2);
});

test('another version of a file replaces it, and what was gathered of the old one is removed', async () => {
  weights = await startWeightsTest();
  weights.hub.script.cutAfterBytes = [1_000, 0, 0, 0, 0, 0];
  await expect(weights.obtain()).rejects.toThrow(TemporaryError);
  const newer = Buffer.from(WEIGHTS).reverse();
  weights.hub.files.set('a-Q4_K_M.gguf', newer);
  expect(readFileSync(await weights.obtain())).toEqual(newer);
  expect(weights.kept()).toEqual(['a-Q4_K_M.gguf', 'verified.json']);
});

test('the token goes to the hub and not to where it redirects', async () => {
  weights = await startWeightsTest();
  await weights.obtain('hf:user/model', withToken());
  const seen = (server: string) =>
    new Set(
      weights.hub.requests.filter((request) => request.server === server).map(({ authorization }) => authorization),
    );
  expect(seen('hub')).toEqual(new Set([`Bearer ${TOKEN}`]));
  expect(seen('content')).toEqual(new Set([undefined]));
});

test('all parts of a split model come from all pages of the list, below their directory', async () => {
  const paths = [1, 2, 3].map((part) => `Q8 0/big-Q8_0-0000${part}-of-00003.gguf`);
  weights = await startWeightsTest(Object.fromEntries(paths.map((path) => [path, WEIGHTS.subarray(0, 1_000)])), 2);
  expect(await weights.obtain('hf:user/model:q8_0')).toBe(join(weights.modelsDirectory, 'user--model', paths[0] ?? ''));
  for (const path of paths) expect(statSync(join(weights.modelsDirectory, 'user--model', path)).size).toBe(1_000);
});

test('a repository below a path prefix is found', async () => {
  weights = await startWeightsTest();
  const hub = { endpoint: `${weights.hub.endpoint}/mirror`, token: undefined, offline: false };
  expect(readFileSync(await weights.obtain('hf:user/model', { hub }))).toEqual(WEIGHTS);
});

test('a path that leads out of the directory is never written', async () => {
  weights = await startWeightsTest({ '../../evil-Q4_K_M.gguf': WEIGHTS, 'good-Q8_0.gguf': WEIGHTS });
  expect(await weights.obtain()).toContain('good-Q8_0.gguf');
});

test.each([
  [401, undefined, /no such repository, or it is private or gated.*set HF_TOKEN/],
  [403, undefined, /set HF_TOKEN/],
  [403, TOKEN, /HF_TOKEN is not valid or may not read/],
  [404, undefined, /no such repository or file \(404\)/],
  [418, undefined, /answers 418; check HF_ENDPOINT/],
])('the status %d with the token %s says what to do', async (status, token, message) => {
  weights = await startWeightsTest();
  weights.hub.script.refusals = { status, times: 1 };
  const failed = weights.obtain('hf:user/model', { hub: { endpoint: weights.hub.endpoint, token, offline: false } });
  await expect(failed).rejects.toThrow(ConfigError);
  await expect(failed).rejects.toThrow(message);
  await expect(failed).rejects.toThrow(/^--model hf:user\/model: (?!.*hf_secret)/);
});

test('a quantization that is not there says which are', async () => {
  weights = await startWeightsTest();
  await expect(weights.obtain('hf:user/model:Q2_K')).rejects.toThrow(/no quantization 'Q2_K'; it has Q4_K_M/);
});

test('a hub that is too busy is asked again', async () => {
  weights = await startWeightsTest();
  weights.hub.script.refusals = { status: 429, times: 2, headers: { 'retry-after': '0.01' } };
  expect(readFileSync(await weights.obtain())).toEqual(WEIGHTS);
});

test('a hub that is not there is temporary and says what to do', async () => {
  weights = await startWeightsTest();
  await weights.hub.stop();
  const failed = weights.obtain();
  await expect(failed).rejects.toThrow(TemporaryError);
  await expect(failed).rejects.toThrow(
    /^--model hf:user\/model: 127\.0\.0\.1:\d+ cannot be reached .*ECONNREFUSED.*start again$/,
  );
});

test.each(['<html>', '{"sha":"main"}', '[]'])('a server that answers %s is no hub', async (body) => {
  weights = await startWeightsTest();
  const server = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1');
  await eventually('it listens', () => server.listening);
  const { port } = server.address() as { port: number };
  const hub = { endpoint: `http://127.0.0.1:${port}`, token: undefined, offline: false };
  await expect(weights.obtain('hf:user/model', { hub })).rejects.toThrow(
    /does not answer as a Hugging Face hub.*HF_ENDPOINT/,
  );
  server.close();
  server.closeAllConnections();
});

test.each<[string, (path: string) => void]>([
  ['a directory', (path) => mkdirSync(path)],
  ['no lock file', (path) => writeFileSync(path, 'x'.repeat(1_000))],
])('a .lock that is %s is named', async (_name, put) => {
  weights = await startWeightsTest();
  mkdirSync(join(weights.modelsDirectory, 'user--model'), { recursive: true });
  put(join(weights.modelsDirectory, 'user--model', '.lock'));
  const failed = weights.obtain();
  await expect(failed).rejects.toThrow(ConfigError);
  await expect(failed).rejects.toThrow(/^--model hf:user\/model: cannot be kept in .*user--model.*\.lock/);
});

test('two at once ask the hub once, and one that waits can be stopped', async () => {
  weights = await startWeightsTest();
  await Promise.all([weights.obtain(), weights.obtain()]);
  expect(weights.hub.requests.map(({ server }) => server)).toEqual(['hub', 'hub', 'hub', 'content']);

  weights.hub.script.stallAfterBytes = 10;
  const [first, second] = [new AbortController(), new AbortController()];
  rmSync(join(weights.modelsDirectory, 'user--model', 'a-Q4_K_M.gguf'));
  const fetching = weights.obtain('hf:user/model', { signal: first.signal });
  fetching.catch(() => {});
  await eventually('the first fetches', () => weights.hub.transfers().length === 2);
  const stages: unknown[] = [];
  const onProgress = (...told: unknown[]) => stages.push(told);
  const waiting = weights.obtain('hf:user/model', { signal: second.signal, onProgress });
  waiting.catch(() => {});
  await eventually(
    'the second waits',
    () => weights.log.filter(({ msg }) => String(msg).startsWith('waiting')).length === 2,
  );
  expect(stages).toEqual([['waiting for another download of it', undefined]]);
  second.abort();
  await expect(waiting).rejects.toBe(second.signal.reason);
  first.abort();
  await expect(fetching).rejects.toBe(first.signal.reason);
});

test('two processes at once fetch once, and the second takes over from a first that is killed', async () => {
  weights = await startWeightsTest();
  const program = `
    const { obtainWeights } = await import(${JSON.stringify(pathToFileURL(join(import.meta.dirname, 'obtain.ts')).href)});
    const log = { info: (_, text) => console.log(text), warn() {} };
    console.log('path ' + await obtainWeights({ text: 'x', user: 'user', repository: 'model' }, 'x', {
      hub: { endpoint: ${JSON.stringify(weights.hub.endpoint)}, offline: false },
      modelsDirectory: ${JSON.stringify(weights.modelsDirectory)},
      signal: new AbortController().signal, terminal: { isTTY: false }, log, now: Date.now,
    }));`;
  const start = () =>
    startProgram(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program], {});
  weights.hub.script.stallAfterBytes = 100_000;
  const first = start();
  await eventually('the first fetches', () => weights.hub.sentBytes() === 100_000);
  const second = start();
  await eventually('the second waits', () => second.output().includes('waiting for another process'));
  expect(weights.hub.transfers()).toHaveLength(1);
  await eventually('bytes are on the disk', () => {
    const part = weights.kept().find((name) => name.endsWith('.part')) ?? '';
    return statSync(join(weights.modelsDirectory, 'user--model', part)).size === 100_000;
  });
  weights.hub.script.stallAfterBytes = undefined;
  await first.stop('SIGKILL');
  await eventually('the second has it', () => second.output().includes('path '));
  expect(weights.hub.transfers().map(({ range }) => range)).toEqual([undefined, 'bytes=100000-']);
  expect(weights.hub.sentBytes()).toBe(SIZE_BYTES);
  await second.stop();
});
