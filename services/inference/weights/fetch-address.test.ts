import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../../test/harness/processes.ts';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import { type AddressReference, parseAddress } from './address.ts';
import { obtainWeights, type WeightsResources } from './obtain.ts';
import { startWeightsTest, type WeightsTest } from './test-weights.ts';

const FILE = Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(200_000, 7)]);

let weights: WeightsTest;
let server: Server | undefined;
let requests: { readonly range: string | undefined; readonly authorization: string | undefined }[];
beforeEach(async () => {
  requests = [];
  // Its content network serves any file under /blobs, resumes, and breaks as it is told to.
  weights = await startWeightsTest({ 'a.gguf': FILE });
});
afterEach(async () => {
  server?.close();
  server?.closeAllConnections();
  server = undefined;
  await weights.close();
});

function reference(address: string): AddressReference {
  const parsed = parseAddress(address);
  if (!parsed) throw new Error(`no address: ${address}`);
  return parsed;
}

/** The address of the file on the test's server, which redirects to the one that has the bytes. */
function obtain(address: string, resources: Partial<WeightsResources> = {}): Promise<string> {
  const { hub, modelsDirectory, log } = weights;
  return obtainWeights(reference(address), `--model ${address}`, {
    hub: { endpoint: hub.endpoint, token: 'hf_secret_token', offline: false },
    modelsDirectory,
    signal: new AbortController().signal,
    firstRetryMs: 1,
    terminal: { isTTY: false, columns: 80, write: () => true },
    log: { info: () => {}, warn: (fields: object, msg: string) => log.push({ ...fields, msg }) } as never,
    now: Date.now,
    ...resources,
  });
}

const onHub = (): string => `${weights.hub.endpoint}/user/model/resolve/${'c0ffee'.padEnd(40, '0')}/a.gguf`;

async function serve(listener: RequestListener): Promise<string> {
  server = createServer((request, response) => {
    const { range, authorization } = request.headers;
    requests.push({ range, authorization });
    listener(request, response);
  }).listen(0, '127.0.0.1');
  await eventually('it listens', () => server?.listening === true);
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/a.gguf`;
}

test('the file is fetched over redirects without any token, kept, recorded with its checksum, and not asked for again', async () => {
  const told: unknown[] = [];
  const path = await obtain(onHub(), { onProgress: (stage, percent) => told.push(`${stage} ${percent}`) });
  expect(readFileSync(path)).toEqual(FILE);
  expect(path.startsWith(join(weights.modelsDirectory, 'address+127.0.0.1+'))).toBe(true);
  expect(path.endsWith('/a.gguf')).toBe(true);
  expect(told).toContain('downloading 100');
  const record = JSON.parse(readFileSync(join(path, '..', 'verified.json'), 'utf8'));
  const sha256 = createHash('sha256').update(FILE).digest('hex');
  expect(record.files).toEqual([{ path: 'a.gguf', sizeBytes: FILE.length, sha256 }]);
  expect(weights.log).toContainEqual(
    expect.objectContaining({ sha256, msg: expect.stringContaining('no checksum is known') }),
  );
  expect(weights.hub.requests.map(({ authorization }) => authorization).filter(Boolean)).toEqual([]);
  const asked = weights.hub.requests.length;
  await weights.hub.stop();
  expect(await obtain(onHub())).toBe(path);
  expect(weights.hub.requests).toHaveLength(asked);
});

test('a connection that is cut is resumed, also by the next start', async () => {
  // The first answer is the look at its beginning.
  weights.hub.script.cutAfterBytes = [4, 50_000, 0, 0, 0, 0, 0, 0];
  await expect(obtain(onHub())).rejects.toThrow(/Check the network and the address, then start again: it goes on with/);
  expect(readFileSync(await obtain(onHub()))).toEqual(FILE);
  expect(weights.hub.transfers().at(-1)?.range).toBe('bytes=50000-');
});

test('another file at the address is not mixed with what was gathered, also where only its date tells', async () => {
  let body = FILE;
  let sends = 50_000;
  const address = await serve((request, response) => {
    const first = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      'content-length': body.length - first,
      'content-range': `bytes ${first}-${body.length - 1}/${body.length}`,
      'last-modified': new Date((body[4] ?? 0) * 1_000).toUTCString(),
    });
    if (first >= sends) response.socket?.destroy();
    else if (sends >= body.length) response.end(body.subarray(first));
    else response.write(body.subarray(first, sends), () => response.socket?.end());
  });
  await expect(obtain(address)).rejects.toThrow(TemporaryError);
  const newer = Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(200_000, 8)]);
  newer[4] = 0;
  body = newer;
  sends = body.length;
  const path = await obtain(address);
  expect(readFileSync(path)).toEqual(newer);
  expect(readdirSync(join(path, '..')).filter((name) => name.endsWith('.part'))).toEqual([]);
});

test('a server that knows no ranges is enough', async () => {
  const address = await serve((_request, response) => {
    response.writeHead(200, { 'content-length': FILE.length }).end(FILE);
  });
  expect(readFileSync(await obtain(address))).toEqual(FILE);
});

test.each<[string, RequestListener, RegExp]>([
  ['a page', (_, response) => response.end('<html>log in</html>'), /there is no GGUF file at this address/],
  ['nothing', (_, response) => response.end(), /there is no GGUF file at this address/],
  ['no length', (_, response) => response.writeHead(200).end(FILE), /does not tell how large the file is/],
  ['401', (_, response) => response.writeHead(401).end(), /answers 401; check the address/],
  ['404', (_, response) => response.writeHead(404).end(), /answers 404; check the address/],
  [
    'a redirect to itself',
    (request, response) => response.writeHead(302, { location: request.url }).end(),
    /cannot be followed.*check the address/,
  ],
])('%s is refused before anything is kept', async (_what, listener, words) => {
  const address = await serve(listener);
  const failed = obtain(address);
  await expect(failed).rejects.toThrow(ConfigError);
  await expect(failed).rejects.toThrow(words);
  const [folder = ''] = readdirSync(weights.modelsDirectory);
  expect(readdirSync(join(weights.modelsDirectory, folder)).filter((name) => !name.startsWith('.lock'))).toEqual([]);
  expect(requests.every(({ authorization }) => authorization === undefined)).toBe(true);
});

test('a file that changes while it is fetched is refused', async () => {
  const address = await serve((request, response) => {
    const body = request.headers.range === undefined ? Buffer.from('PK'.padEnd(FILE.length)) : FILE;
    response.writeHead(200, { 'content-length': FILE.length }).end(body);
  });
  const failed = obtain(address);
  await expect(failed).rejects.toThrow(TemporaryError);
  await expect(failed).rejects.toThrow(/a\.gguf is no GGUF file, 3 times/);
});
