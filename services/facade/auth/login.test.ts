import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, expect, test } from 'vitest';
import { toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { CLIENT_IP_HEADER } from '../../shared/transport/mesh-headers.ts';
import { KEY, startFacade, type TestFacade, type TestOptions } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

let asked: { username: string; password: string; authorization: string | null; clientIp: string | null }[] = [];

function auth(error?: ConnectError): NonNullable<TestOptions['auth']> {
  asked = [];
  return {
    login({ username, password }, { requestHeader }) {
      const authorization = requestHeader.get('authorization');
      asked.push({ username, password, authorization, clientIp: requestHeader.get(CLIENT_IP_HEADER) });
      if (error) throw error;
      return { accessToken: KEY, expiresIn: { seconds: 86_400n, nanos: 0 }, refreshToken: 'rt_x' };
    },
    getJwks: () => ({ jwks: '{"keys":[]}' }),
  };
}

async function login(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${facade.url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

test('a login answers with the token, which nobody on the way keeps', async () => {
  facade = await startFacade({ auth: auth() });
  const response = await login({ username: 'ann', password: 'correct horse', extra: 1 });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ access_token: KEY, token_type: 'bearer', expires_in: 86_400 });
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('x-ratelimit-limit-minute')).toBe('30');
  expect(response.headers.get('content-type')).toContain('application/json');
  expect(asked).toEqual([{ username: 'ann', password: 'correct horse', authorization: null, clientIp: '127.0.0.1' }]);
});

test('what is refused is answered with one text', async () => {
  facade = await startFacade({ auth: auth(toConnectError(new MeshError('CREDENTIAL_INVALID', 'which it was'))) });
  const response = await login({ username: 'ann', password: 'wrong' }, { authorization: 'Bearer nonsense' });
  expect(response.status).toBe(401);
  expect(response.headers.get('www-authenticate')).toBe('Bearer');
  expect(await response.json()).toEqual({
    detail: 'Invalid username or password',
    error: 'Unauthorized',
    status_code: 401,
  });
});

test('a full queue and a store that is away are no wrong password', async () => {
  const full = new MeshError('QUEUE_FULL', 'Too many passwords are being checked.', { retryAfterMs: 1_000 });
  facade = await startFacade({ auth: auth(toConnectError(full)) });
  const response = await login({ username: 'ann', password: 'correct horse' });
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('1');
  await facade.close();
  facade = await startFacade({ auth: auth(new ConnectError('away', Code.Unavailable)) });
  expect((await login({ username: 'ann', password: 'correct horse' })).status).toBe(503);
});

test.each([
  ['no password', { username: 'ann' }, 'password'],
  ['a password that is no text', { username: 'ann', password: 12_345_678 }, 'password'],
  ['no username', { password: 'correct horse' }, 'username'],
  ['no object', [], 'body'],
])('%s is refused by name and asks nobody', async (_name, body, field) => {
  facade = await startFacade({ auth: auth() });
  const response = await login(body);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { detail: string }).detail).toContain(field);
  expect(asked).toEqual([]);
});

test('the public keys are open, and kept for less time than a key waits before it signs', async () => {
  facade = await startFacade({ auth: auth() });
  const response = await fetch(`${facade.url}/.well-known/jwks.json`);
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ keys: [] });
  expect(response.headers.get('cache-control')).toBe('public, max-age=300');
  expect(response.headers.get('content-type')).toContain('application/jwk-set+json');
});
