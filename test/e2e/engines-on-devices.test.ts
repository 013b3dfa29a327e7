import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Engine, EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { createFakeMachine, type FakeMachine, gpusOf } from '../engines/fake-nvidia-smi.ts';
import { type FaultScript, scripted } from '../engines/kit/fault-script.ts';
import { readStarts, readSurvivors } from '../engines/kit/record.ts';
import { isRunning } from '../engines/processes.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';

const FAKES = resolve(import.meta.dirname, '../engines/bin');

// System C: two models, each on a GPU of its own, behind one gateway.
describe.each(arrangements())('two engines on two devices, %s', (arrangement) => {
  let machine: FakeMachine;
  let directory: string;
  let mesh: TestMesh | undefined;

  beforeEach(() => {
    machine = createFakeMachine({ gpus: gpusOf('NVIDIA H100 80GB HBM3', 81_559, 2) });
    directory = mkdtempSync(join(tmpdir(), 'mesh-devices-'));
  });
  afterEach(async () => {
    await mesh?.stop();
    mesh = undefined;
    machine.remove();
    rmSync(directory, { recursive: true });
  });

  const recordOf = (name: string): string => join(directory, `${name}.record`);

  async function start(script: FaultScript): Promise<{ client: OpenAI; mesh: TestMesh }> {
    const entry = (name: string, model: string, device: number) => ({
      name,
      engine: 'vllm',
      model,
      devices: [device],
      required: true,
      env: { FAKE_MACHINE: machine.directory, ...scripted(script, recordOf(name)) },
    });
    const models = [
      entry('chat', 'Qwen/Qwen2.5-7B-Instruct', 1),
      entry('text2sql', 'Snowflake/Arctic-Text2SQL-R1-7B', 0),
    ];
    const env = {
      PATH: [join(machine.directory, 'bin'), FAKES, process.env.PATH].join(delimiter),
      MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
    };
    const started = await startMesh(arrangement, { config: { inference: { models } }, args: ['--model', 'none'], env });
    mesh = started;
    return {
      mesh: started,
      client: new OpenAI({ baseURL: `${started.url}/v1`, apiKey: started.adminKey, maxRetries: 0 }),
    };
  }

  test('serve side by side, each on the device it was given, with characters whole', async () => {
    const texts = ['a', '🙂', '漢', 'é'];
    const { client, mesh } = await start({ texts, tokens: 8, splitUtf8: true, everyMs: 5 });
    const answers = await Promise.all(
      ['chat', 'text2sql'].map(async (model) => {
        const stream = await client.chat.completions.create({
          model,
          messages: [{ role: 'user', content: 'x' }],
          stream: true,
        });
        let text = '';
        for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
        return text;
      }),
    );
    for (const answer of answers) {
      expect(answer.length).toBeGreaterThan(0);
      expect(answer).not.toContain('\uFFFD');
    }
    for (const [name, device] of [
      ['chat', '1'],
      ['text2sql', '0'],
    ] as const) {
      const [started] = readStarts(recordOf(name));
      expect(started?.env).toMatchObject({ CUDA_VISIBLE_DEVICES: device, CUDA_DEVICE_ORDER: 'PCI_BUS_ID' });
      // Nothing of the mesh's own secrets.
      expect(Object.keys(started?.env ?? {}).filter((key) => /^(MESH_(TOKEN|PEPPER|PEER)|REDIS)/.test(key))).toEqual(
        [],
      );
    }
    const transport = createConnectTransport({ baseUrl: mesh.url, httpVersion: '2' });
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    const { devices } = await createClient(InferenceService, transport).listDevices({}, { headers });
    expect(devices.map(({ device }) => device?.engines)).toEqual([['text2sql'], ['chat']]);
  });

  test('leave nothing within 5 s after a SIGKILL of the mesh, children in sessions of their own included', async () => {
    const { mesh } = await start({ survivor: true });
    const engines = ['chat', 'text2sql'].flatMap((name) => {
      const file = recordOf(name);
      return [...readStarts(file).map(({ processId }) => processId), ...readSurvivors(file)];
    });
    expect(engines).toHaveLength(4);
    expect(engines.every(isRunning)).toBe(true);
    const inference = mesh.processes.get(arrangement === 'one process' ? 'all' : 'inference');
    inference?.child.kill('SIGKILL');
    const killedAtMs = performance.now();
    await eventually('all engine processes are gone', () => !engines.some(isRunning));
    expect(performance.now() - killedAtMs).toBeLessThan(stretched(5_000));
  });
});

test('two meshes on one host never have one device at the same time, also when the first is killed', async () => {
  const machine = createFakeMachine({ gpus: gpusOf('NVIDIA H100 80GB HBM3', 81_559, 1) });
  const env = {
    PATH: [join(machine.directory, 'bin'), FAKES, process.env.PATH].join(delimiter),
    MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
  };
  const model = (required: boolean) => {
    // Nobody leaves memory for the driver to show: the claims alone keep them apart.
    const entry = { name: 'chat', engine: 'vllm', model: 'Qwen/Qwen2.5-7B-Instruct', required };
    return { config: { inference: { models: [entry] } }, args: ['--model', 'none'], env };
  };
  const meshes: TestMesh[] = [];
  const stateOf = async ({ url, adminKey }: TestMesh): Promise<Engine | undefined> => {
    const transport = createConnectTransport({ baseUrl: url, httpVersion: '2' });
    const headers = { authorization: `Bearer ${adminKey}` };
    return (await createClient(InferenceService, transport).listEngines({}, { headers })).engines[0]?.engine;
  };
  try {
    const first = await startMesh('one process', model(true));
    meshes.push(first);
    const second = await startMesh('one process', model(false));
    meshes.push(second);
    const killed = first.processes.get('all')?.child;
    const waiting = await eventually('the second waits', async () => {
      const engine = await stateOf(second);
      return engine?.state === EngineState.BACKOFF ? engine : undefined;
    });
    expect(waiting.failure?.hint).toContain(`claimed by another mesh (process ${killed?.pid})`);
    const before = (await stateOf(first))?.processId ?? 0;
    killed?.kill('SIGKILL');
    await eventually('the second has it', async () => (await stateOf(second))?.state === EngineState.READY);
    expect(isRunning(before)).toBe(false);
  } finally {
    await Promise.all(meshes.map((one) => one.stop()));
    machine.remove();
  }
}, 120_000);
