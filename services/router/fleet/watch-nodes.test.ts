import { once } from 'node:events';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type {
  InferenceService,
  WatchEnginesResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fromConnectError, toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { READER, startFleet, type TestFleet } from './fleet.fixture.ts';
import { LEASE_MS } from './registry.ts';

const { READY, STARTING, STOPPED, UNHEALTHY } = EngineState;

let fleet: TestFleet;
const watches: AbortController[] = [];
beforeEach(() => {
  fleet = startFleet();
});
afterEach(async () => {
  for (const watch of watches.splice(0)) watch.abort();
  await fleet.close();
});

type Message = MessageInitShape<typeof WatchEnginesResponseSchema>;
type NodeImpl = Partial<ServiceImpl<typeof InferenceService>>;

/** A node whose engines change when the test says so. */
class ScriptedNode {
  readonly #changes: Message[] = [];
  #wake: () => void = () => {};
  /** The calls that run now. */
  running = 0;
  calls = 0;

  say(...states: EngineState[]): void {
    for (const state of states) this.#changes.push({ engines: [{ name: 'chat', state }] });
    this.#wake();
  }

  readonly impl: NodeImpl = {
    watchEngines: (_request, { signal }) => this.#watch(signal),
  };

  async *#watch(signal: AbortSignal): AsyncGenerator<Message> {
    this.calls++;
    this.running++;
    signal.addEventListener('abort', () => {
      this.running--;
      this.#wake();
    });
    yield { engines: [{ name: 'chat', state: READY }] };
    while (!signal.aborted) {
      const next = this.#changes.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** Reads as fast as it can; what it saw is written as "node engine state" and "node - removed". */
function watching() {
  const stop = new AbortController();
  watches.push(stop);
  const seen: string[] = [];
  const done = (async () => {
    for await (const { node, engines, removed } of fleet.client.watchEngines(
      {},
      { headers: READER, signal: stop.signal },
    )) {
      seen.push(...engines.map(({ name, state }) => `${node} ${name} ${state}`));
      seen.push(...removed.map((name) => `${node} - ${name}`));
    }
  })().catch((error: unknown) => fromConnectError(error).reason);
  return { seen, done, stop: () => stop.abort() };
}
const poll = (value: () => unknown) => expect.poll(value);

test('begins with the engines of every node, then tells every change in the order of its node', async () => {
  const [a, b] = [new ScriptedNode(), new ScriptedNode()];
  await fleet.node('a', a.impl);
  await fleet.node('b', b.impl);
  const { seen } = watching();
  await poll(() => seen.toSorted()).toEqual([`a chat ${READY}`, `b chat ${READY}`]);
  b.say(UNHEALTHY, STARTING, READY);
  await poll(() => seen.slice(2)).toEqual([UNHEALTHY, STARTING, READY].map((state) => `b chat ${state}`));
});

test('a node that comes is told with its engines, also when nothing else happens', async () => {
  const { seen } = watching();
  const node = new ScriptedNode();
  await fleet.node('a', node.impl);
  await poll(() => seen).toEqual([`a chat ${READY}`]);
});

test('a node that goes is told as it is known, is not asked any more, and begins anew when it comes back', async () => {
  const node = new ScriptedNode();
  await fleet.node('a', node.impl, [{ name: 'chat', state: READY }]);
  const { seen } = watching();
  await poll(() => seen).toEqual([`a chat ${READY}`]);
  fleet.lose('a');
  await poll(() => seen.slice(1)).toEqual([`a chat ${UNHEALTHY}`]);
  await poll(() => node.running).toBe(0);
  fleet.report('a', [{ name: 'chat', state: READY }]);
  await poll(() => seen.slice(2)).toEqual([`a chat ${READY}`]);
  expect(node.calls).toBe(2);
  // Gone for so long that it is forgotten.
  fleet.lose('a');
  fleet.registry.expire(performance.now() + LEASE_MS + 600_000);
  await poll(() => seen.at(-1)).toBe('a - chat');
});

test('a node that stops in order is told to its end, and no more until it comes back', async () => {
  let stops = Promise.withResolvers<void>();
  const impl: NodeImpl = {
    async *watchEngines() {
      yield { engines: [{ name: 'chat', state: READY }] };
      await stops.promise;
      yield { engines: [{ name: 'chat', state: STOPPED }] };
      throw toConnectError(new MeshError('SHUTTING_DOWN', 'bye'));
    },
  };
  await fleet.node('a', impl, [{ name: 'chat', state: READY }]);
  const { seen } = watching();
  await poll(() => seen).toHaveLength(1);
  // Its last words come after it is known to be gone.
  fleet.lose('a');
  stops.resolve();
  await poll(() => seen).toEqual([`a chat ${READY}`, `a chat ${STOPPED}`]);
  stops = Promise.withResolvers();
  fleet.report('a', [{ name: 'chat', state: READY }]);
  await poll(() => seen.slice(2)).toEqual([`a chat ${READY}`]);
});

test('a node that has started anew is watched anew', async () => {
  const node = new ScriptedNode();
  await fleet.node('a', node.impl);
  const { seen } = watching();
  await poll(() => seen).toHaveLength(1);
  fleet.report('a', [], { epoch: 2n });
  await poll(() => seen).toEqual([`a chat ${READY}`, `a chat ${READY}`]);
});

test('a stream that breaks is opened again while its node reports', async () => {
  let calls = 0;
  const impl: NodeImpl = {
    async *watchEngines(_request, { signal }) {
      if (++calls === 1) throw toConnectError(new MeshError('INTERNAL', 'broken'));
      yield { engines: [{ name: 'chat', state: READY }] };
      await once(signal, 'abort');
    },
  };
  await fleet.node('a', impl);
  const { seen } = watching();
  await poll(() => seen).toEqual([`a chat ${READY}`]);
});

test('who may no more is told; a reader that leaves leaves nothing behind', async () => {
  const node = new ScriptedNode();
  await fleet.node('a', node.impl);
  const one = watching();
  await poll(() => one.seen).toHaveLength(1);
  one.stop();
  await one.done;
  await poll(() => node.running).toBe(0);
  const refusing: NodeImpl = {
    // biome-ignore lint/correctness/useYield: it refuses
    async *watchEngines() {
      throw toConnectError(new MeshError('SCOPE_MISSING', 'no more'));
    },
  };
  await fleet.node('b', refusing);
  expect(await watching().done).toBe('SCOPE_MISSING');
  await poll(() => node.running).toBe(0);
});

test('a reader that does not read slows the nodes down, and still gets every change', async () => {
  let sent = 0;
  const flood: NodeImpl = {
    async *watchEngines(_request, { signal }) {
      while (!signal.aborted) {
        yield { engines: [{ name: `e${sent}`, modelId: 'x'.repeat(10_000) }] };
        sent++;
      }
    },
  };
  await fleet.node('a', flood);
  const stop = new AbortController();
  watches.push(stop);
  const stream = fleet.client.watchEngines({}, { headers: READER, signal: stop.signal })[Symbol.asyncIterator]();
  await stream.next();
  let last = -1;
  // What is under way fills up, then it stands still.
  await expect
    .poll(
      () => {
        const isStill = sent === last;
        last = sent;
        return isStill;
      },
      { timeout: 20_000, interval: 500 },
    )
    .toBe(true);
  expect(sent).toBeLessThan(20_000);
  for (let index = 1; index <= 50; index++) {
    expect((await stream.next()).value?.engines[0]?.name).toBe(`e${index}`);
  }
});
