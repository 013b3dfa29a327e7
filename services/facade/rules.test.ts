import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ENDPOINTS } from './routes.ts';
import { startFacade, type TestFacade } from './test-facade.ts';

let facade: TestFacade;
beforeAll(async () => {
  facade = await startFacade();
});
afterAll(() => facade.close());

const RATE_HEADERS = [
  ...['limit-minute', 'remaining-minute', 'limit-hour', 'remaining-hour'],
  ...['limit', 'remaining', 'reset'].flatMap((what) => [`${what}-requests`, `${what}-tokens`]),
].map((name) => `x-ratelimit-${name}`);

/** Every route with a path that can be asked for. */
const ROUTES = ENDPOINTS.map(({ method, path, access }) => ({
  ...{ method, access, path: path.replace(/\{\+?\w+\}/, 'some') },
}));

const POSTS = ROUTES.filter(({ method }) => method === 'POST');
const GUARDED = ROUTES.filter(({ access }) => access === 'caller');

/** Expects an error in the form that clients of the route read. */
async function expectError(path: string, response: Response, status: number): Promise<void> {
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(response.headers.get('x-request-id')).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
  const body = (await response.json()) as { detail: string; error: unknown };
  expect(body.detail).toEqual(expect.any(String));
  if (/^\/(v1\/|text2sql$|chat$)/.test(path)) {
    const code = expect.any(String);
    expect(body.error).toMatchObject({ message: body.detail, type: expect.any(String), code });
    expect(body.error).toHaveProperty(path === '/v1/messages' ? 'message' : 'param');
  } else {
    expect(body).toEqual({ detail: body.detail, error: expect.any(String), status_code: status });
  }
}

function expectRateHeaders({ headers }: Response): void {
  for (const name of RATE_HEADERS) expect([name, headers.get(name)]).toEqual([name, expect.any(String)]);
}

describe('every route tells errors in its own form, and rate limits to whom it knows', () => {
  test.each(GUARDED)('$method $path without a key', async ({ method, path }) => {
    await expectError(path, await fetch(facade.url + path, { method }), 401);
  });

  test.each(GUARDED)('$method $path with two keys that differ', async ({ method, path }) => {
    const response = await facade.call(path, { method, headers: { 'x-api-key': 'another' } });
    await expectError(path, response, 400);
  });

  test.each(POSTS)('$method $path with what is no JSON', async ({ path, access }) => {
    const response = await facade.post(path, '{"a":');
    if (access !== 'open') expectRateHeaders(response);
    await expectError(path, response, 400);
  });

  test.each(POSTS)('$method $path with another type', async ({ path, access }) => {
    const response = await facade.post(path, 'a=b', { 'content-type': 'application/x-www-form-urlencoded' });
    if (access !== 'open') expectRateHeaders(response);
    await expectError(path, response, 415);
  });

  test.each(POSTS)('$method $path with a list instead of an object', async ({ path }) => {
    await expectError(path, await facade.post(path, [1]), 400);
  });

  test.each(ROUTES)('another method than $method on $path', async ({ path }) => {
    const response = await facade.call(path, { method: 'PATCH' });
    expect(response.headers.get('allow')).toContain('OPTIONS');
    expectRateHeaders(response);
    await expectError(path, response, 405);
  });

  test.each(['/nothing', '/v1/nothing', '/chat/nothing', '/v1'])('%s is no route', async (path) => {
    const response = await facade.call(path, { method: 'POST' });
    expectRateHeaders(response);
    expect(response.status).toBe(404);
    const body = (await response.json()) as { error: unknown };
    expect(typeof body.error).toBe(path === '/nothing' ? 'string' : 'object');
  });

  test.each(ROUTES)('OPTIONS $path names the methods', async ({ method, path }) => {
    const response = await fetch(facade.url + path, { method: 'OPTIONS' });
    expect([response.status, await response.text()]).toEqual([204, '']);
    expect(response.headers.get('allow')?.split(', ')).toContain(method);
  });

  test.each(ROUTES.filter(({ method }) => method === 'GET'))('HEAD $path is GET without its body', async ({ path }) => {
    const [head, get] = [await facade.call(path, { method: 'HEAD' }), await facade.call(path)];
    expect([head.status, await head.text()]).toEqual([get.status, '']);
    expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
    await get.text();
  });
});
