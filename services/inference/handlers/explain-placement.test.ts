import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createRouterTransport } from '@connectrpc/connect';
import { createValidateInterceptor } from '@connectrpc/validate';
import pino from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import {
  createFakeMachine,
  type FakeMachine,
  type FakeMachineState,
  gpusOf,
} from '../../../test/engines/fake-nvidia-smi.ts';
import { RANDOM_MODEL } from '../../../test/fixtures/embedded-engine.ts';
import { createErrorInterceptor, createErrorMapper } from '../../shared/interceptors/errors.ts';
import { createMeshClient } from '../../shared/transport/client.ts';
import { createDeviceBook, type DeviceBook } from '../devices/device-book.ts';
import { ModelFilesError } from '../devices/vram-estimate.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import { explainPlacement } from './explain-placement.ts';
import { listDevices } from './list-devices.ts';

// Each look starts processes of Node.js, which is slow where others compute as well.
vi.setConfig({ testTimeout: 120_000 });

const GIB = 1024 ** 3;
const log = pino({ level: 'silent' });
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Demands = Readonly<Record<string, DeviceDemand | Error | undefined>>;

interface Node {
  readonly machine: FakeMachine;
  readonly client: Client<typeof InferenceService>;
  readonly book: DeviceBook;
  /** The folder that HF_HOME names. */
  readonly hub: string;
  /** Where GGUF files may be named. */
  readonly modelsDirectory: string;
}

/** The two methods over a book on a fake machine, with engines of these demands. */
function node(state: Partial<FakeMachineState>, demands: Demands = {}): Node {
  const machine = createFakeMachine(state);
  const hub = mkdtempSync(join(tmpdir(), 'hub-'));
  const modelsDirectory = join(hub, 'models');
  mkdirSync(modelsDirectory);
  const variables: Readonly<Record<string, string>> = {
    PATH: machine.path,
    HF_HOME: hub,
    MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
  };
  const environmentVariable = (name: string) => variables[name];
  const book = createDeviceBook({ devices: 'auto', environmentVariable, ownProcesses: () => new Map(), log });
  closers.push(async () => {
    await book.close();
    machine.remove();
    rmSync(hub, { recursive: true });
  });
  const context = {
    node: 'here',
    devices: book,
    modelsDirectory,
    engines: () => Object.keys(demands).map((name) => ({ name }) as Engine),
    async demand(name: string) {
      const demand = demands[name];
      if (demand instanceof Error) throw demand;
      return demand;
    },
  };
  const transport = createRouterTransport(
    ({ service }) => {
      const methods = { listDevices: listDevices(context), explainPlacement: explainPlacement(context) };
      service(InferenceService, methods);
    },
    { router: { interceptors: [createErrorInterceptor(createErrorMapper(log)), createValidateInterceptor()] } },
  );
  return { machine, client: createMeshClient(InferenceService, transport), book, hub, modelsDirectory };
}

/** A model of the hub whose weights are told by its index. */
function inCache({ hub }: Node, model: string, gib: number): void {
  const snapshot = join(hub, 'hub', `models--${model.replace('/', '--')}`, 'snapshots', 'abc');
  mkdirSync(snapshot, { recursive: true });
  const shape = { hidden_size: 4096, num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 };
  writeFileSync(join(snapshot, 'config.json'), JSON.stringify({ ...shape, max_position_embeddings: 8_192 }));
  const index = { metadata: { total_size: gib * GIB }, weight_map: { a: 'model-00001-of-00009.safetensors' } };
  writeFileSync(join(snapshot, 'model.safetensors.index.json'), JSON.stringify(index));
}

function demand(gib: number, change: Partial<DeviceDemand> = {}): DeviceDemand {
  const bytes = gib * GIB;
  return {
    count: 1,
    claim: { kind: 'bytes', bytes },
    neededBytes: bytes,
    shares: false,
    fallsBackToCpu: false,
    ...change,
  };
}

test('ListDevices reads the devices anew and tells who uses them', async () => {
  const { client, book } = node({
    gpus: gpusOf('NVIDIA L40S', 46_068, 2),
    processes: [{ processId: 4_000_001, gpus: [1], usedMiB: 1_000 }],
  });
  await book.book('chat', demand(30, { indices: [0] }));
  const { devices, problems } = await client.listDevices({});
  expect(devices.map(({ node: name, device }) => [name, device?.index, device?.engines])).toEqual([
    ['here', 0, ['chat']],
    ['here', 1, []],
  ]);
  expect(devices[0]?.device).toMatchObject({ name: 'NVIDIA L40S', memoryBookedBytes: BigInt(30 * GIB) });
  const foreign = { processId: 4_000_001, memoryBytes: 1_000n * 1024n * 1024n };
  expect(devices[1]?.device).toMatchObject({
    foreignProcesses: 1,
    foreignProcessList: [foreign],
    memoryForeignBytes: 1_004n * 1024n * 1024n,
  });
  expect(problems).toEqual([]);
});

test('lost devices and the processes of others are named', async () => {
  const gpus = gpusOf('NVIDIA L40S', 46_068, 3);
  const { client, book, machine } = node({ gpus }, { chat: demand(40) });
  await book.refresh();
  const processes = [4_000_001, 4_000_002].map((processId) => ({ processId, gpus: [1], usedMiB: 10_000 }));
  machine.change({ gpus: gpus.slice(0, 2), processes });
  const { devices } = await client.listDevices({});
  expect(devices.map(({ device }) => [device?.index, device?.lost])).toEqual([
    [0, false],
    [1, false],
    [2, true],
  ]);
  const named = devices[1]?.device?.foreignProcessList.map(({ processId }) => processId);
  expect(named).toEqual([4_000_001, 4_000_002]);
  const { candidates } = await client.explainPlacement({ model: 'chat' });
  expect(candidates.map(({ device, why }) => [device?.index, why])).toEqual([
    [0, expect.stringContaining('the best fit')],
    [1, expect.stringMatching(/processes not of this mesh use 19\.5 GiB: 4000001, 4000002\)$/)],
    [2, 'gone: the driver no longer lists it'],
  ]);
});

test('a driver that fails is told beside the CPU', async () => {
  const { client } = node({ fault: { code: 9, stdout: "NVIDIA-SMI has failed because it couldn't communicate.\n" } });
  const { devices, problems } = await client.listDevices({});
  expect(devices.map(({ device }) => device?.index)).toEqual([undefined]);
  expect(problems).toMatchObject([{ node: 'here', what: expect.stringContaining("couldn't communicate") }]);
});

test('a configured engine is explained by its own demand, before and after it has its place', async () => {
  const wish = demand(30);
  const { client, book } = node({ gpus: gpusOf('NVIDIA L40S', 46_068, 2) }, { chat: wish, remote: undefined });
  const before = await client.explainPlacement({ model: 'chat' });
  expect(before).toMatchObject({ fits: true, summary: 'on CUDA device 0', estimatedBytes: BigInt(30 * GIB) });
  expect(before.estimate).toMatchObject({ devices: 1, perDeviceBytes: BigInt(30 * GIB) });
  expect(before.candidates.map(({ node: name, device, chosen }) => [name, device?.index, chosen])).toEqual([
    ['here', 0, true],
    ['here', 1, false],
  ]);
  expect(before.candidates[0]).toMatchObject({
    claimBytes: BigInt(30 * GIB),
    why: expect.stringContaining('best fit'),
  });
  await book.book('chat', wish);
  expect((await client.explainPlacement({ model: 'chat' })).summary).toBe('it has its place on CUDA device 0');
  const other = await client.explainPlacement({ model: 'chat', device: 'cuda:1' });
  expect(other).toMatchObject({ fits: true, summary: 'on CUDA device 1' });
  expect(await client.explainPlacement({ model: 'remote' })).toMatchObject({
    fits: true,
    summary: 'it needs no CUDA device of this node',
    estimatedBytes: 0n,
  });
});

test('a model of the hub is estimated, and split as far as it must be', async () => {
  const here = node({ gpus: gpusOf('NVIDIA L40S', 46_068, 4) });
  inCache(here, 'org/small', 16);
  inCache(here, 'org/large', 100);
  inCache(here, 'org/huge', 400);
  const small = await here.client.explainPlacement({ model: 'org/small' });
  expect(small).toMatchObject({ fits: true, summary: 'on CUDA device 0' });
  expect(small.estimate).toMatchObject({
    weightsBytes: BigInt(16 * GIB),
    kvCacheBytes: BigInt(GIB),
    contextTokens: 8_192,
  });
  const large = await here.client.explainPlacement({ model: 'org/large' });
  expect(large).toMatchObject({ fits: true, summary: 'on CUDA device 0, 1, 2, 3', estimate: { devices: 4 } });
  const huge = await here.client.explainPlacement({ model: 'org/huge' });
  expect(huge).toMatchObject({ fits: false, estimate: { devices: 1 } });
  expect(huge.summary).toContain('no room for a CUDA device: 0: ');
});

test('a model that is not here has an unknown size, and says so', async () => {
  const { client } = node({ gpus: gpusOf('NVIDIA L40S', 46_068, 1) });
  const told = await client.explainPlacement({ model: 'org/absent' });
  expect(told).toMatchObject({ fits: true, estimatedBytes: 0n });
  expect(told.estimate).toBeUndefined();
  expect(told.summary).toBe('on CUDA device 0; its size is unknown, because its files are not on this node');
});

test('a GGUF goes to a device, else to the CPU unless a device is asked for', async () => {
  const model = 'random.gguf';
  const withGpu = node({ gpus: gpusOf('NVIDIA L40S', 46_068, 1) });
  const withoutGpu = node({});
  for (const { modelsDirectory } of [withGpu, withoutGpu]) copyFileSync(RANDOM_MODEL, join(modelsDirectory, model));
  const { client } = withGpu;
  expect((await client.explainPlacement({ model })).summary).toBe('on CUDA device 0');
  const absolute = join(withGpu.modelsDirectory, model);
  expect((await client.explainPlacement({ model: absolute })).summary).toBe('on CUDA device 0');
  const onCpu = await withoutGpu.client.explainPlacement({ model });
  expect(onCpu).toMatchObject({ fits: true, summary: expect.stringContaining('on the CPU') });
  expect(onCpu.candidates).toMatchObject([{ chosen: true, device: { uuid: '' } }]);
  expect(await withoutGpu.client.explainPlacement({ model, device: 'cuda' })).toMatchObject({ fits: false });
  expect(await client.explainPlacement({ model, device: 'cuda:3' })).toMatchObject({
    fits: false,
    summary: expect.stringContaining('3: not there'),
  });
  expect(await client.explainPlacement({ model, device: 'cpu' })).toMatchObject({ fits: true });
});

test('a GGUF of the hub is estimated from where LoadModel has put it', async () => {
  const { client, modelsDirectory } = node({ gpus: gpusOf('NVIDIA L40S', 46_068, 1) });
  const model = 'hf:user/model';
  expect((await client.explainPlacement({ model })).summary).toContain('its size is unknown');
  const kept = join(modelsDirectory, 'user--model');
  mkdirSync(kept);
  copyFileSync(RANDOM_MODEL, join(kept, 'a.gguf'));
  const files = [{ path: 'a.gguf', sizeBytes: statSync(RANDOM_MODEL).size, sha256: 'x' }];
  writeFileSync(join(kept, 'verified.json'), JSON.stringify({ commit: 'c', files }));
  expect((await client.explainPlacement({ model })).estimate?.weightsBytes).toBe(BigInt(statSync(RANDOM_MODEL).size));
});

test.each(['', 'cpu'])(
  'a file elsewhere is refused with the words for one that is not there (device "%s")',
  async (device) => {
    const { client, modelsDirectory } = node({ gpus: gpusOf('NVIDIA L40S', 46_068, 1) });
    symlinkSync(RANDOM_MODEL, join(modelsDirectory, 'link.gguf'));
    for (const model of [RANDOM_MODEL, 'link.gguf', '../none.gguf', 'none.gguf']) {
      await expect(client.explainPlacement({ model, device })).rejects.toMatchObject({
        code: 3,
        rawMessage: 'model: there is no GGUF file that can be read at this path below the model directory',
      });
    }
  },
);

test.each([
  [{ model: '/etc/passwd' }, 'model: is no configured engine'],
  [{ model: '/etc' }, 'model: is no configured engine'],
  [{ model: '/no/such.gguf' }, 'model: there is no GGUF file that can be read at this path'],
  [{ model: 'broken' }, 'model: config.json is damaged'],
  [{ model: 'split', device: 'cuda:0' }, 'device: the engine is split over 2 devices'],
  [{ model: 'split', device: 'gpu' }, 'device'],
  [{ model: '' }, 'model'],
])('%j is refused by name', async (request, words) => {
  const damaged = new ModelFilesError('config.json is damaged: download the model again.');
  const { client } = node(
    { gpus: gpusOf('NVIDIA L40S', 46_068, 2) },
    { broken: damaged, split: demand(10, { count: 2 }) },
  );
  await expect(client.explainPlacement(request)).rejects.toMatchObject({
    code: 3,
    message: expect.stringContaining(words),
  });
});
