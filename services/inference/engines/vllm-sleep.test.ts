import { Client } from 'undici';
import { expect, test } from 'vitest';
import { entryProblems } from '../../../test/engines/entry-problems.ts';
import { entryOf, MODEL, signal, startReady, TIMEOUT_MS, type Vllm } from '../../../test/engines/vllm/start.ts';
import { vllmEngine } from './vllm.ts';

const SLEEPS = { load: 'on_demand', sleep_mode: true };

/** The status of a route of the server itself, on its socket. */
async function statusOf(engine: Vllm, method: 'GET' | 'POST', path: string): Promise<number> {
  const client = new Client('http://localhost', { socketPath: engine.socketPath });
  const { statusCode, body } = await client.request({ method, path });
  await body.dump();
  await client.close();
  return statusCode;
}

test('it sleeps and wakes where that is configured', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({}, SLEEPS);
  expect(vllmEngine(entryOf(SLEEPS)).canSleep).toBe(true);
  expect(engine.record().argv).toContain('--enable-sleep-mode');
  // Whoever reaches these routes may use them: a socket of ours, never a port.
  expect(engine.record().argv.filter((argument) => /^--(host|port)/.test(argument))).toEqual([]);
  const { sleeping } = engine.connection;
  await sleeping?.sleep(signal());
  await sleeping?.sleep(signal());
  const client = new Client('http://localhost', { socketPath: engine.socketPath });
  const { body } = await client.request({ method: 'GET', path: '/is_sleeping' });
  expect(await body.json()).toEqual({ is_sleeping: true });
  await client.close();
  await sleeping?.wake(signal());
  expect((await engine.connection.probe(signal())).modelId).toBe(MODEL);
});

test('elsewhere there are no such routes, and no way to have them', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({});
  expect(engine.connection.sleeping).toBeUndefined();
  expect(engine.record().env).not.toHaveProperty('VLLM_SERVER_DEV_MODE');
  expect(await statusOf(engine, 'POST', '/sleep')).toBe(404);
  expect(entryProblems({ name: 'a', engine: 'vllm', model: 'm', env: { VLLM_SERVER_DEV_MODE: '1' } })).toEqual([
    'env.VLLM_SERVER_DEV_MODE: VLLM_SERVER_DEV_MODE is set by the mesh; use sleep_mode',
  ]);
});
