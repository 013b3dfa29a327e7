import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFacade, type TestFacade } from '../test-facade.ts';

let facade: TestFacade;
beforeAll(async () => {
  facade = await startFacade();
});
afterAll(() => facade?.close());

function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return fetch(facade.url + path, { headers: { 'accept-encoding': 'identity', ...headers }, method });
}

/** What a page links to. */
function links(html: string): string[] {
  return [...html.matchAll(/(?:src|href|data-openapi)="([^"]+)"/g)].map(([, link]) => link ?? '');
}

test.each(['/docs', '/redoc'])('%s loads everything from here and may do nothing else', async (path) => {
  const page = await get(path);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(page.headers.get('cache-control')).toBe('no-cache');
  const policy = new Map(
    (page.headers.get('content-security-policy') ?? '').split('; ').map((rule) => {
      const [name = '', ...sources] = rule.split(' ');
      return [name, sources.join(' ')];
    }),
  );
  expect(policy.get('default-src')).toBe("'none'");
  expect(policy.get('script-src')).toBe("'self'");
  expect(policy.get('connect-src')).toBe("'self'");
  expect(policy.get('frame-ancestors')).toBe("'none'");
  expect([...policy.values()].join(' ')).not.toMatch(/unsafe|https?:|\*/);

  const html = await page.text();
  expect(html).not.toMatch(/<script>|<style|https?:\/\//);
  const linked = links(html).filter((link) => link !== 'data:,');
  expect(linked.length).toBeGreaterThan(3);
  for (const link of linked) {
    const asset = await get(new URL(link, facade.url + path).pathname + new URL(link, facade.url).search);
    expect([link, asset.status]).toEqual([link, 200]);
    expect(asset.headers.get('x-content-type-options')).toBe('nosniff');
    await asset.arrayBuffer();
  }
});

test('behind a slash, and behind a proxy with a path of its own, the links are right', async () => {
  for (const path of ['/docs', '/docs/', '/docs?theme=dark', '/redoc/']) {
    const html = await (await get(path)).text();
    for (const link of links(html).filter((link) => link !== 'data:,')) {
      expect(new URL(link, `http://proxy/below${path}`).pathname).toMatch(/^\/below\/(openapi\.json|docs\/assets\/)/);
    }
  }
});

test('a file may be kept for good under the address that names its content, and nowhere else', async () => {
  const html = await (await get('/docs')).text();
  const address = `/${links(html).find((link) => link.includes('swagger-ui.css'))}`;
  const named = await get(address);
  expect(named.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  const other = await get(address.replace(/v=.*/, 'v=older'));
  expect(other.headers.get('cache-control')).toBe('no-cache');
  expect(await other.text()).toBe(await named.text());
});

test('whoever has it already, gets no second copy', async () => {
  for (const path of ['/openapi.json', '/docs/assets/redoc.js']) {
    const etag = (await get(path)).headers.get('etag') ?? '';
    expect(etag).toMatch(/^W\/"[0-9a-f]{16}"$/);
    for (const known of [etag, `"other", ${etag}`]) {
      const again = await get(path, { 'if-none-match': known });
      expect([again.status, await again.text()]).toEqual([304, '']);
      expect(again.headers.get('etag')).toBe(etag);
    }
    expect((await get(path, { 'if-none-match': '"other"' })).status).toBe(200);
  }
});

test('it is compressed for those who can read that', async () => {
  const plain = await get('/openapi.json');
  expect(plain.headers.get('content-encoding')).toBeNull();
  expect(plain.headers.get('vary')).toContain('Accept-Encoding');
  const text = await plain.text();
  // fetch would undo it.
  const head = await get('/openapi.json', { 'accept-encoding': 'br, gzip' }, 'HEAD');
  expect(head.headers.get('content-encoding')).toBe('gzip');
  expect(Number(head.headers.get('content-length'))).toBeLessThan(text.length / 5);
  expect(
    (await get('/openapi.json', { 'accept-encoding': 'gzip;q=0' }, 'HEAD')).headers.get('content-encoding'),
  ).toBeNull();
  expect(await (await get('/openapi.json', { 'accept-encoding': 'gzip' })).text()).toBe(text);
});

test.each([
  'nothing.js',
  '..%2Fpages.ts',
  '__proto__',
  'constructor',
  'swagger-ui.js%00',
  '%2e%2e%2f%2e%2e%2fconfig.ts',
])('there is no file %s', async (name) => {
  const response = await get(`/docs/assets/${name}`);
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ error: 'Not Found', status_code: 404 });
});

test('/ and /api-info name every endpoint, and how to call it', async () => {
  const index = (await (await get('/')).json()) as { endpoints: string[] };
  expect(index).toMatchObject({ name: 'inference-mesh', docs: '/docs', openapi: '/openapi.json', health: '/health' });
  const info = (await (await get('/api-info')).json()) as {
    endpoints: { method: string; path: string; example: string }[];
    authentication: { header: string }[];
  };
  expect(info.endpoints.map(({ method, path }) => `${method} ${path}`)).toEqual(index.endpoints);
  expect(info.authentication.map(({ header }) => header)).toEqual(['Authorization', 'X-API-Key']);
  const chat = info.endpoints.find(({ path }) => path === '/v1/chat/completions');
  expect(chat).toMatchObject({ method: 'POST', authentication: 'required', tag: 'OpenAI' });
});

test('the version is told', async () => {
  const document = (await (await get('/openapi.json')).json()) as { info: { version: string } };
  expect(document.info.version).toBe('1.2.3');
});
