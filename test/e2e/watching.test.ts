import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, describe, expect, test } from 'vitest';
import { EngineStateSchema } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fromConnectError } from '../../services/shared/errors/connect-error.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

/** Far longer than any process may take to end here. */
const DRAIN_SECONDS = 300;

describe.each(arrangements())('whoever watches when a process ends, %s', (arrangement) => {
  let mesh: TestMesh | undefined;
  afterEach(async () => {
    await mesh?.stop();
    mesh = undefined;
  });

  async function start() {
    const started = await startMesh(arrangement, { config: { server: { drain_seconds: DRAIN_SECONDS } } });
    mesh = started;
    const headers = { authorization: `Bearer ${started.adminKey}` };
    const client = createClient(InferenceService, createGrpcTransport({ baseUrl: started.url }));
    const engine = await eventually('its engine is known', async () => {
      const { engines } = await client.listEngines({}, { headers });
      return engines[0]?.engine?.name;
    });
    const reasonOf = (error: unknown) => fromConnectError(error).reason;

    const states: string[] = [];
    const watching = (async () => {
      for await (const { engines } of client.watchEngines({}, { headers })) {
        states.push(...engines.map(({ state }) => EngineStateSchema.value[state]?.localName ?? ''));
      }
    })().catch(reasonOf);
    const lines: string[] = [];
    const tailing = (async () => {
      for await (const message of client.tailLogs({ engine, lines: 1_000 }, { headers })) {
        lines.push(...message.lines.map(({ text }) => text));
      }
    })().catch(reasonOf);
    await eventually('both have read', () => states.length > 0 && lines.includes('[mesh] ready'));
    return { mesh: started, states, watching, lines, tailing };
  }

  test('holds up no drain and sees the engines stop', async () => {
    const { mesh, states, watching, lines, tailing } = await start();
    const owner = mesh.processes.get('inference') ?? mesh.processes.get('all');
    const askedAtMs = performance.now();
    expect(await owner?.stop()).toBe(0);
    // Nothing runs, so only the engine's own end takes time.
    expect(performance.now() - askedAtMs).toBeLessThan(60_000);
    await eventually('its end is seen', () => states.at(-1) === 'STOPPED');
    expect(states.slice(-3)).toEqual(['READY', 'STOPPING', 'STOPPED']);
    // Of several nodes one may go: who watches them all goes on.
    await mesh.processes.get('facade')?.stop();
    expect(await watching).toBe('SHUTTING_DOWN');
    expect(await tailing).toBeUndefined();
    expect(lines.at(-1)).toBe('[mesh] stopped');
  }, 120_000);

  test.runIf(arrangement === 'six processes')(
    'holds up no process in between, which says that it ends',
    async () => {
      const { mesh, watching, tailing } = await start();
      const askedAtMs = performance.now();
      expect(await mesh.processes.get('facade')?.stop()).toBe(0);
      expect(performance.now() - askedAtMs).toBeLessThan(60_000);
      expect(await Promise.all([watching, tailing])).toEqual(['SHUTTING_DOWN', 'SHUTTING_DOWN']);
    },
    120_000,
  );
});
