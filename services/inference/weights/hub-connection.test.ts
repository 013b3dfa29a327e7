import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { afterEach, expect, test, vi } from 'vitest';
import { eventually } from '../../../test/harness/processes.ts';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { HubConnection } from './hub-connection.ts';
import { type HubListing, listRepository } from './hub-listing.ts';
import { followingRedirects } from './hub-redirects.ts';
import { transfer } from './transfer.ts';

const SHA = 'c'.repeat(40);
const REFERENCE = { text: 'hf:user/model', user: 'user', repository: 'model', quantization: undefined };
const SUBJECT = '--model hf:user/model';
const signal = new AbortController().signal;

let server: Server | undefined;
let requests: string[] = [];
afterEach(() => {
  vi.unstubAllEnvs();
  server?.close();
  server?.closeAllConnections();
});

/** Answers the revision; everything else is for `listener`. */
async function startHub(listener: RequestListener): Promise<string> {
  requests = [];
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    if (request.url?.endsWith('/revision/main')) response.end(JSON.stringify({ sha: SHA }));
    else listener(request, response);
  }).listen(0, '127.0.0.1');
  await eventually('it listens', () => server?.listening === true);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const settings = (endpoint: string) => ({ endpoint, token: undefined, offline: false });

async function withConnection<T>(endpoint: string, work: (connection: HubConnection) => Promise<T>): Promise<T> {
  const connection = new HubConnection(settings(endpoint), SUBJECT);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

const list = (endpoint: string): Promise<HubListing> =>
  withConnection(endpoint, (connection) =>
    listRepository(REFERENCE, { hub: settings(endpoint), connection, subject: SUBJECT, signal }),
  );

test.each(['::bad::', 'socks4://user:secret@proxy:1', '127.0.0.1:3128'])('the proxy %s is none', (address) => {
  for (const name of ['HTTPS_PROXY', 'https_proxy']) vi.stubEnv(name, address);
  const connect = () => new HubConnection(settings('https://hub'), SUBJECT);
  expect(connect).toThrow(ConfigError);
  expect(connect).toThrow(/^--model hf:user\/model: HTTP_PROXY or HTTPS_PROXY (?!.*(bad|secret|3128))/);
});

test.each(['LOOP', 'ftp://127.0.0.1/x', 'http://[bad', 'MORE'])(
  'a redirect to %s is not tried again',
  async (target) => {
    const endpoint = await startHub((request, response) => {
      const location = target === 'LOOP' ? request.url : target === 'MORE' ? `${request.url}x` : target;
      response.writeHead(302, { location }).end();
    });
    const failed = list(endpoint);
    await expect(failed).rejects.toThrow(ConfigError);
    await expect(failed).rejects.toThrow(
      /^--model hf:user\/model: .* redirects in a way that cannot be followed.*HF_END/,
    );
    expect(requests).toHaveLength(target === 'MORE' ? 7 : 2);
  },
);

test('a redirect from https to http is not followed, one to https is', async () => {
  const endpoint = await startHub((request, response) => {
    const location = { '/down': `${endpoint}/end`, '/on': `${secure}/end` }[request.url ?? ''];
    if (location === undefined) response.end();
    else response.writeHead(302, { location }).end();
  });
  const secure = endpoint.replace('http:', 'https:');
  // The server's side of TLS only is left out.
  const agent = new Agent().compose(
    (dispatch) => (options, handler) => dispatch({ ...options, origin: endpoint }, handler),
  );
  const dispatcher = followingRedirects(agent, secure);
  const get = (path: string) => dispatcher.request({ method: 'GET', origin: secure, path });
  expect((await get('/on')).statusCode).toBe(200);
  requests = [];
  await expect(get('/down')).rejects.toThrow('from https to http');
  expect(requests).toEqual(['/down']);
  await withConnection(secure, async (connection) => {
    await expect(connection.get(new URL(endpoint), {}, signal, [200])).rejects.toThrow(
      /cannot be followed \(it leads from https to http\)/,
    );
  });
  await agent.close();
});

test('a list that goes on nowhere, or without end, is no hub', async () => {
  let link = '<http://[bad>; rel="next"';
  const endpoint = await startHub((_request, response) => response.writeHead(200, { link }).end('[]'));
  await expect(list(endpoint)).rejects.toThrow(
    /^--model .*does not answer as a Hugging Face hub.*goes on.*HF_ENDPOINT/,
  );
  link = '</more>; rel="next"';
  requests = [];
  await expect(list(endpoint)).rejects.toThrow(/its list does not end/);
  expect(requests).toHaveLength(21);
});

test('a part that does not say where it begins is fetched again, in its own words', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-transfer-'));
  const endpoint = await startHub((request, response) => {
    if (request.headers.range !== undefined) response.writeHead(206).end('456');
    else if (requests.length > 1) response.end('123456');
    else response.writeHead(200, { 'content-length': 6 }).write('123', () => response.socket?.end());
  });
  const problems: string[] = [];
  const partPath = join(directory, 'part');
  const file = { path: 'a.gguf', sizeBytes: 6, sha256: '' };
  await withConnection(endpoint, (connection) =>
    transfer(
      { url: new URL(`${endpoint}/a.gguf`), file, partPath },
      { connection, signal, firstRetryMs: 1, onBytes() {}, onRetry: (problem) => problems.push(problem) },
    ),
  );
  expect(readFileSync(partPath, 'utf8')).toBe('123456');
  expect(problems).toEqual([expect.anything(), expect.stringMatching(/without saying which/)]);
  rmSync(directory, { recursive: true });
});
