import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { createFakeMachine, type FakeMachine, gpusOf } from '../engines/fake-nvidia-smi.ts';
import { scripted } from '../engines/kit/fault-script.ts';
import { readStarts } from '../engines/kit/record.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';

const FAKES = resolve(import.meta.dirname, '../engines/bin');

/** Engine processes start and end, on a machine that may do other work. */
const SWAP_TIMEOUT_MS = 90_000;

// Two models that each need the whole of the only device; the tests build on each other.
describe.each(arrangements())('models that take turns on one device, %s', (arrangement) => {
  let machine: FakeMachine;
  let directory: string;
  let mesh: TestMesh;
  let client: OpenAI;

  beforeAll(async () => {
    machine = createFakeMachine({ gpus: gpusOf('NVIDIA H100 80GB HBM3', 81_559, 1) });
    directory = mkdtempSync(join(tmpdir(), 'mesh-swap-'));
    const entry = (name: string, rest: object) => ({
      name,
      engine: 'vllm',
      model: `some/${name}`,
      load: 'on_demand',
      env: { FAKE_MACHINE: machine.directory, ...scripted({ everyMs: 5 }, join(directory, name)) },
      ...rest,
    });
    const models = [entry('sleeper', { sleep_mode: true }), entry('other', {})];
    mesh = await startMesh(arrangement, {
      config: { inference: { models, min_stay_seconds: 0, turn_seconds: 0 } },
      args: ['--model', 'none'],
      env: {
        PATH: [join(machine.directory, 'bin'), FAKES, process.env.PATH].join(delimiter),
        MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
      },
    });
    client = new OpenAI({ baseURL: `${mesh.url}/v1`, apiKey: mesh.adminKey, maxRetries: 0 });
  }, 120_000);
  afterAll(async () => {
    await mesh?.stop();
    machine.remove();
    rmSync(directory, { recursive: true });
  });

  async function ask(model: string, tokens: number): Promise<string> {
    const messages = [{ role: 'user' as const, content: 'x' }];
    const stream = await client.chat.completions.create({ model, messages, max_tokens: tokens, stream: true });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    return text;
  }

  async function states(): Promise<Record<string, EngineState | undefined>> {
    const transport = createConnectTransport({ baseUrl: mesh.url, httpVersion: '2' });
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const { engines } = await createClient(InferenceService, transport).listEngines({}, { headers });
    return Object.fromEntries(engines.map(({ engine }) => [engine?.name, engine?.state]));
  }

  test(
    'everybody is answered whole, whoever has the device',
    async () => {
      const answers = await Promise.all(['sleeper', 'other', 'sleeper', 'other'].map((model) => ask(model, 40)));
      for (const answer of answers) expect(answer.trim().split(' ')).toHaveLength(40);
      expect(await ask('other', 1)).not.toBe('');
      expect(await states()).toEqual({ sleeper: EngineState.SLEEPING, other: EngineState.READY });
      expect(await ask('sleeper', 1)).not.toBe('');
      expect(await states()).toEqual({ sleeper: EngineState.READY, other: EngineState.STOPPED });
      // It slept, the other one ended.
      expect(readStarts(join(directory, 'sleeper'))).toHaveLength(1);
    },
    SWAP_TIMEOUT_MS,
  );

  test.each(['/sleep?level=1', '/wake_up', '/is_sleeping', '/collective_rpc', '/pause', '/v1/sleep', '/invocations'])(
    'nobody reaches %s of an engine from outside',
    async (path) => {
      const headers = { authorization: `Bearer ${mesh.adminKey}`, 'x-mesh-engine': 'sleeper' };
      for (const method of ['GET', 'POST']) {
        const { status } = await fetch(mesh.url + path, { method, headers });
        expect(status).toBe(404);
      }
      expect((await states()).sleeper).toBe(EngineState.READY);
    },
  );
});
