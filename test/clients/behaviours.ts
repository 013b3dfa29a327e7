import { expect } from 'vitest';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';
import { type ClientsMesh, MODEL } from './clients-mesh.ts';
import type { RpcClient } from './rpc-client.ts';

/** The promise: the engine is idle within a second of its client leaving. */
const IDLE_MS = 1_000;

/** What one message carries each way: 4 MiB, which is more than gRPC clients take by default with what surrounds it. */
const LARGE = { count: 4, textBytes: 2 ** 20, dimensions: 2 ** 18 };

/** Shorter than a busy machine needs for nothing at all: only what never comes is measured by it. */
const DEADLINE_MS = 700;

/** How many PINGs of a client are waited for. Servers that punish them do so at the third without other traffic. */
const PINGS = 3;

/** How a client keeps its connection. */
export interface Keepalive {
  /** How often it sends a PING. Unset: it sends none of its own, and all that it does goes over one connection of HTTP/2. */
  readonly everyMs?: number;
}

/** Resolves to what was measured, for the table. */
type Behaviour = (setting: ClientsMesh, client: RpcClient, keepalive: Keepalive) => Promise<string> | Promise<void>;

/** Waits until the engine is idle; returns how long that took. */
async function idle({ engine }: ClientsMesh): Promise<string> {
  const beganAtMs = performance.now();
  await eventually('the engine is idle', async () => (await engine.counts()).running === 0, stretched(IDLE_MS));
  return `idle after ${Math.round(performance.now() - beganAtMs)} ms`;
}

/** What every client does, by name. Its program stays, so that nothing is freed by its end. */
export const BEHAVIOURS = {
  async unary({ engine, key }, client) {
    await engine.script({});
    expect(await client.call({ do: 'models', key })).toMatchObject({ code: 'OK', models: [MODEL] });
  },

  async 'server stream'({ engine, key }, client) {
    await engine.script({});
    const told = await client.call({ do: 'generate', key, maxTokens: 5 });
    expect(told).toMatchObject({ code: 'OK', text: ' t0 t1 t2 t3 t4', completionTokens: 5 });
    expect(told.events?.[0]).toBe('started');
    expect(new Set(told.events?.slice(1, -2))).toEqual(new Set(['delta']));
    expect(told.events?.slice(-2)).toEqual(['finished', 'usage']);
  },

  async 'cancel in mid-stream'(setting, client) {
    const { engine, key } = setting;
    await engine.script({ atToken: 2, tokens: 50, fault: 'hang' });
    const { aborted } = await engine.counts();
    const told = await client.call({ do: 'generate', key, maxTokens: 50, cancelAfterDeltas: 1 });
    expect(told.code).toBe('CANCELLED');
    expect(told.text).toMatch(/^ t0/);
    const measured = await idle(setting);
    expect((await engine.counts()).aborted).toBe(aborted + 1);
    return measured;
  },

  async deadline(setting, client) {
    const { engine, key } = setting;
    await engine.script({ firstTokenMs: 60_000 });
    const told = await client.call({ do: 'generate', key, maxTokens: 5, timeoutMs: DEADLINE_MS });
    expect(told).toMatchObject({ code: 'DEADLINE_EXCEEDED', text: '' });
    return idle(setting);
  },

  async 'error details'({ engine, onceKey }, client) {
    await engine.script({});
    const key = await onceKey();
    expect(await client.call({ do: 'generate', key, maxTokens: 1 })).toMatchObject({ code: 'OK' });
    const refused = await client.call({ do: 'generate', key, maxTokens: 1 });
    const limit = 'tier:once:requests:minute';
    expect(refused).toMatchObject({
      ...{ code: 'RESOURCE_EXHAUSTED', message: expect.stringContaining('1 requests per minute') },
      details: {
        ...{ reason: 'RATE_LIMIT_EXCEEDED', metadata: { limit } },
        violations: [{ subject: 'caller', description: refused.message, quotaId: limit }],
      },
    });
    expect(refused.details?.domain).toMatch(/./);
    expect(refused.details?.retryDelayMs).toBeGreaterThan(0);
    expect(refused.details?.retryDelayMs).toBeLessThan(2 * 60_000);
  },

  async metadata({ engine, key }, client) {
    await engine.script({});
    const requestId = `req-${Math.floor(Math.random() * 1e9)}`;
    const models = await client.call({ do: 'models', key, requestId });
    expect(models).toMatchObject({ code: 'OK', requestIdHeader: requestId });
    const stream = await client.call({ do: 'generate', key, requestId, maxTokens: 1 });
    expect(stream).toMatchObject({ code: 'OK', requestId, requestIdHeader: requestId });
    expect(await client.call({ do: 'models', key: 'no-such-key-0123456789' })).toMatchObject({
      ...{ code: 'UNAUTHENTICATED', details: { reason: 'CREDENTIAL_INVALID' } },
    });
  },

  async '4 MiB messages'({ engine, key }, client) {
    await engine.script({});
    const told = await client.call({ do: 'embed', key, ...LARGE });
    // As the fake engine makes them: the length of the text, and an eighth more for each place.
    const last = LARGE.textBytes + (LARGE.dimensions - 1) / 8;
    const vectors = Array(LARGE.count).fill([LARGE.dimensions, Math.fround(last)]);
    expect(told).toMatchObject({ code: 'OK', vectors });
  },

  async keepalive({ engine, key, pings, address, ca }, client, { everyMs }) {
    await engine.script({ holdAtToken: 2 });
    const answered = pings.answered();
    const way = `127.0.0.1:${pings.port}`;
    await client.call({ do: 'connect', address: way, ...(everyMs === undefined ? { ca } : { keepaliveMs: everyMs }) });
    const stream = client.call({ do: 'generate', key, maxTokens: 4 });
    await eventually('the engine runs it', async () => (await engine.counts()).running === 1);
    const made = pings.made();
    if (everyMs === undefined) {
      const beside = await Promise.all([1, 2, 3].map(() => client.call({ do: 'models', key })));
      expect(beside.map(({ code }) => code)).toEqual(['OK', 'OK', 'OK']);
    } else {
      // In the silence of the stream. One that is answered proves that the connection lives at both ends.
      await eventually('PINGs are answered', () => pings.answered() >= answered + PINGS);
    }
    await engine.go();
    expect(await stream).toMatchObject({ code: 'OK', text: ' t0 t1 t2 t3' });
    expect(await client.call({ do: 'models', key })).toMatchObject({ code: 'OK' });
    expect(pings.made()).toBe(made);
    await client.call({ do: 'connect', address });
  },

  async TLS({ engine, key, namedAddress, address, ca }, client) {
    await engine.script({});
    await client.call({ do: 'connect', address: namedAddress, ca });
    expect(await client.call({ do: 'models', key })).toMatchObject({ code: 'OK', models: [MODEL] });
    expect(await client.call({ do: 'generate', key, maxTokens: 3 })).toMatchObject({ code: 'OK', text: ' t0 t1 t2' });
    await client.call({ do: 'connect', address });
  },
} satisfies Record<string, Behaviour>;

/** The name of something that every client does. */
export type BehaviourName = keyof typeof BEHAVIOURS;
