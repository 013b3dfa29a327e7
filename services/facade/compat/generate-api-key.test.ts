import { afterEach, expect, test } from 'vitest';
import { toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { KEY, startFacade, type TestFacade, type TestOptions } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

let asked: { username: string; authorization: string | null; clientIp: string | null }[] = [];

function auth(error?: MeshError): NonNullable<TestOptions['auth']> {
  asked = [];
  return {
    generateApiKey({ username }, { requestHeader }) {
      const authorization = requestHeader.get('authorization');
      asked.push({ username, authorization, clientIp: requestHeader.get('mesh-client-ip') });
      if (error) throw toConnectError(error);
      return { secret: 'im_new' };
    },
  };
}

function anonymous(body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${facade.url}/generate_apikey`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
}

test('answers with the key, asked for as its caller', async () => {
  facade = await startFacade({ auth: auth() });
  const response = await facade.post('/generate_apikey', { username: 'ann', unknown: 1 });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ api_key: 'im_new' });
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'cache-control': 'no-store',
    'x-ratelimit-remaining-minute': '29',
  });
  expect(asked).toEqual([{ username: 'ann', authorization: `Bearer ${KEY}`, clientIp: '127.0.0.1' }]);
});

test('anybody may ask; auth decides', async () => {
  facade = await startFacade({ auth: auth() });
  const response = await anonymous({ username: 'ann' });
  expect(await response.json()).toEqual({ api_key: 'im_new' });
  expect(response.headers.has('x-ratelimit-remaining-minute')).toBe(false);
  expect(asked).toEqual([{ username: 'ann', authorization: null, clientIp: '127.0.0.1' }]);
});

test.each<[MeshError, number, object]>([
  [new MeshError('CREDENTIAL_MISSING', 'x'), 401, { detail: 'Invalid API key', error: 'Unauthorized' }],
  [new MeshError('SCOPE_MISSING', 'This needs the scope "admin".'), 403, { detail: 'This needs the scope "admin".' }],
  [
    new MeshError('RATE_LIMIT_EXCEEDED', 'Too many keys.', { retryAfterMs: 60_000 }),
    429,
    { detail: 'Too many keys.', error: 'Rate limit exceeded', status_code: 429 },
  ],
])('%s', async (error, status, body) => {
  facade = await startFacade({ auth: auth(error) });
  const response = await anonymous({ username: 'ann' });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject(body);
  expect(response.headers.get('retry-after')).toBe(status === 429 ? '60' : null);
});

test('a wrong key is 401 before anybody is asked', async () => {
  facade = await startFacade({ auth: auth() });
  expect((await anonymous({ username: 'ann' }, { 'x-api-key': 'wrong' })).status).toBe(401);
  expect(asked).toEqual([]);
});

test.each([{}, { username: '' }, { username: 7 }, { username: 'x'.repeat(257) }])('%o is 400', async (body) => {
  facade = await startFacade({ auth: auth() });
  const response = await facade.post('/generate_apikey', body);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ detail: expect.stringMatching(/^username: /), status_code: 400 });
  expect(asked).toEqual([]);
});
