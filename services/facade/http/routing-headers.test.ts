import { afterEach, expect, test } from 'vitest';
import { CHAT, startFacade, type TestFacade } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

const ROUTES: [string, object][] = [
  ['/v1/chat/completions', CHAT],
  ['/v1/completions', { model: 'tiny', prompt: 'hi' }],
  ['/generate', { model_name: 'tiny', prompt: 'hi' }],
];

test.each(ROUTES)('%s: headers pin a request and keep a session together', async (path, body) => {
  facade = await startFacade();
  const headers = { 'x-mesh-engine': 'node-1/chat', 'x-session-id': 'conversation 7' };
  expect((await facade.post(path, body, headers)).status).toBe(200);
  expect((await facade.post(path, body)).status).toBe(200);
  expect(facade.generations.map(({ request }) => [request.engine, request.session])).toEqual([
    ['node-1/chat', 'conversation 7'],
    ['', ''],
  ]);
});

test.each(['x-mesh-engine', 'x-session-id'])(
  '%s: what is no name is refused by the name of the header',
  async (name) => {
    facade = await startFacade();
    for (const value of ['é', 'x'.repeat(257)]) {
      for (const [path, body] of ROUTES) {
        const response = await facade.post(path, body, { [name]: value });
        expect(response.status).toBe(400);
        expect(await response.text()).toContain(name);
      }
    }
    expect(facade.generations).toHaveLength(0);
  },
);
