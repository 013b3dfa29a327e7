import { afterAll, expect, test } from 'vitest';
import { BEARER, startTestListener } from './listener.fixture.ts';

const any = await startTestListener({ fallback: (_request, response) => response.end('rest') });
const listed = await startTestListener({ corsOrigins: ['https://a.example', 'https://b.example'] });
afterAll(() => Promise.all([any.listener.close(), listed.listener.close()]));

const RPC = '/mesh.router.v1.RouterService/Tokenize';
const origin = 'https://a.example';

/** What Connect-Web, an EventSource and the openai SDK in a browser ask for. */
const ASKED = [
  'authorization',
  'connect-protocol-version',
  'content-type',
  'last-event-id',
  'x-api-key',
  'x-stainless-lang',
];

function preflight(url: string, from = origin): Promise<Response> {
  const headers = {
    origin: from,
    'access-control-request-method': 'POST',
    'access-control-request-headers': ASKED.join(','),
  };
  return fetch(url, { method: 'OPTIONS', headers });
}

test.each([RPC, '/v1/chat/completions'])('a preflight of %s is answered without a credential', async (path) => {
  const response = await preflight(any.listener.url + path);
  expect(response.status).toBe(204);
  expect(response.headers.get('access-control-allow-origin')).toBe('*');
  expect(response.headers.get('access-control-allow-credentials')).toBeNull();
  const allowed = response.headers.get('access-control-allow-headers')?.toLowerCase() ?? '';
  expect(allowed.split(',')).toEqual(ASKED);
});

test('a browser may read the headers of answers and of refusals', async () => {
  const url = any.listener.url + RPC;
  const headers = { origin, 'content-type': 'application/json' };
  for (const credential of [BEARER, {}]) {
    const response = await fetch(url, { method: 'POST', headers: { ...headers, ...credential }, body: '{}' });
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    const exposed = response.headers.get('access-control-expose-headers')?.toLowerCase() ?? '';
    for (const name of [
      'grpc-status',
      'x-request-id',
      'retry-after',
      'x-should-retry',
      'x-ratelimit-remaining-minute',
    ]) {
      expect(exposed.split(',')).toContain(name);
    }
  }
});

test('only origins of the list are allowed', async () => {
  const url = listed.listener.url + RPC;
  expect((await preflight(url)).headers.get('access-control-allow-origin')).toBe(origin);
  const foreign = await preflight(url, 'https://evil.example');
  expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  expect(foreign.headers.get('vary')).toContain('Origin');
});

test('OPTIONS that is no preflight goes on', async () => {
  expect(await (await fetch(any.listener.url, { method: 'OPTIONS' })).text()).toBe('rest');
});
