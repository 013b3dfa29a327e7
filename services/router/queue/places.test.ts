import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { RegisterRequestSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { Registry } from '../fleet/registry.ts';
import { Chooser } from '../select/chooser.ts';
import { EngineLoads } from '../select/engine-loads.ts';
import { featuresOf } from '../select/features.ts';
import { type QueueConfig, queueConfigSchema } from './config.ts';
import { type Place, Places, type Wanting } from './places.ts';

type EngineInit = MessageInitShape<typeof EngineSchema>;

/** A request for a place, as a test sees it. */
interface Asked {
  place: Place | undefined;
  error: MeshError | undefined;
  leave(): void;
  over: Promise<void>;
}

const gone = new MeshError('CLIENT_GONE', 'gone');

function fleet(engines: EngineInit[], queue: Partial<QueueConfig> = {}) {
  const loads = new EngineLoads();
  const registry = new Registry({ aliases: { any: 'm' } }, loads);
  const chooser = new Chooser({ loads, affinityBound: 0 });
  const places = new Places({ registry, chooser, queue: { ...queueConfigSchema.parse({}), ...queue } });
  function report(known: EngineInit[]): void {
    const node = create(RegisterRequestSchema, {
      node: 'n',
      epoch: 1n,
      engines: known.map((engine) => create(EngineSchema, { modelId: 'm', state: EngineState.READY, ...engine })),
    });
    registry.report(node, { epochMs: 0, monotonicMs: 0 });
  }
  report(engines);
  function ask(
    organizationId: string,
    more: Partial<Wanting> & { model?: string; maxTokens?: number; tier?: string; text?: string; engine?: string } = {},
  ): Asked {
    const { model = 'm', maxTokens = 100, tier = 'standard', text = '', engine = '', ...rest } = more;
    const prompt = { input: { case: 'text' as const, value: text } };
    const request = create(GenerateRequestSchema, { model, engine, prompt, sampling: { maxTokens } });
    const controller = new AbortController();
    const asked: Asked = {
      place: undefined,
      error: undefined,
      leave: () => controller.abort(gone),
      over: Promise.resolve(),
    };
    const wanting: Wanting = {
      principal: { organizationId, tier },
      features: featuresOf(request),
      modelId: 'm',
      route: () => registry.snapshot.route(model),
      request,
      signal: controller.signal,
      ...rest,
    };
    asked.over = places.take(wanting).then(
      (place) => {
        asked.place = place;
      },
      (error) => {
        asked.error = error;
      },
    );
    return asked;
  }
  const wanting = (): Wanting => ({
    principal: { organizationId: 'o', tier: '' },
    features: featuresOf(create(GenerateRequestSchema, { model: 'm' })),
    modelId: 'm',
    route: () => registry.snapshot.route('m'),
    request: {},
    signal: new AbortController().signal,
  });
  return { places, loads, report, ask, wanting };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const granted = (all: readonly Asked[]): number => all.filter(({ place }) => place !== undefined).length;

test('a free place is given at once, a full engine lets wait, and who leaves lets the next one in', async () => {
  const { ask, places } = fleet([{ name: 'a', maxConcurrency: 2 }]);
  const first = [ask('o'), ask('o')];
  await settled();
  expect(granted(first)).toBe(2);
  expect(first[0]?.place?.waitedMs).toBe(0);
  const third = ask('o');
  await settled();
  expect([third.place, places.waiting]).toEqual([undefined, 1]);
  first[0]?.place?.leave();
  first[0]?.place?.leave();
  await third.over;
  expect(third.place?.candidate.id).toBe('n/a');
  expect(third.place?.waitedMs).toBeGreaterThan(0);
  expect(places.waiting).toBe(0);
});

test('who waits leaves at once with his caller, and holds nothing', async () => {
  const { ask, places } = fleet([{ name: 'a', maxConcurrency: 1 }]);
  const running = ask('o');
  const waiting = ask('o');
  await settled();
  waiting.leave();
  await waiting.over;
  expect([waiting.error, places.waiting]).toEqual([gone, 0]);
  await running.over;
  running.place?.leave();
  const next = ask('o');
  await next.over;
  expect(next.place).toBeDefined();
});

test('a flood of one organisation does not keep another one out: its wait is bounded by turns', async () => {
  const { ask } = fleet([{ name: 'a', maxConcurrency: 1 }], { max_waiting: 200 });
  const flood = Array.from({ length: 201 }, () => ask('flood'));
  await settled();
  const small = [ask('small'), ask('small')];
  await settled();
  // The queue was full: two of the flood made room.
  expect(flood.filter(({ error }) => error?.reason === 'QUEUE_FULL')).toHaveLength(2);
  let freed = 0;
  while (granted(small) < 2) {
    expect(freed).toBeLessThan(5);
    const running = [...flood, ...small].filter(({ place }) => place !== undefined);
    for (const { place } of running) place?.leave();
    freed += 1;
    await settled();
  }
});

test('a full queue refuses at once with a time to come back', async () => {
  const { ask } = fleet([{ name: 'a', maxConcurrency: 1 }], { max_waiting: 1 });
  ask('o');
  ask('o');
  const refused = ask('o');
  await refused.over;
  expect(refused.error).toMatchObject({ reason: 'QUEUE_FULL', retryAfterMs: 2_000, metadata: { model: 'm' } });
});

test('what waits is bounded by the memory that it holds', async () => {
  const { ask } = fleet([{ name: 'a', maxConcurrency: 1 }], { max_waiting_mib: 1 });
  ask('o');
  const big = ask('o', { text: 'x'.repeat(600_000) });
  const refused = ask('o', { text: 'x'.repeat(600_000) });
  await refused.over;
  expect(refused.error?.reason).toBe('QUEUE_FULL');
  expect(big.error).toBeUndefined();
});

test('tiers with a higher priority go first', async () => {
  const { ask } = fleet([{ name: 'a', maxConcurrency: 1 }], { tier_priorities: { premium: 1 } });
  const running = ask('o');
  const standard = ask('o');
  const premium = ask('p', { tier: 'premium' });
  await settled();
  running.place?.leave();
  await premium.over;
  expect([premium.place?.candidate.id, standard.place]).toEqual(['n/a', undefined]);
});

test('an engine that comes or is reported with more room lets those in who wait', async () => {
  const one = { name: 'a', maxConcurrency: 1 };
  const { ask, report } = fleet([one]);
  ask('o');
  const waiting = [ask('o'), ask('o')];
  await settled();
  report([one, { name: 'b', maxConcurrency: 1 }]);
  await settled();
  expect(granted(waiting)).toBe(1);
  report([one, { name: 'b', maxConcurrency: 2 }]);
  await settled();
  expect(granted(waiting)).toBe(2);
});

test("other routers' requests fill an engine too, as last reported", async () => {
  const { ask, report } = fleet([{ name: 'a', maxConcurrency: 2, load: { running: 2 } }]);
  const waiting = ask('o');
  await settled();
  expect(waiting.place).toBeUndefined();
  report([{ name: 'a', maxConcurrency: 2, load: { running: 1 } }]);
  await waiting.over;
  expect(waiting.place?.candidate.id).toBe('n/a');
});

test('when the last engine goes those who wait are told at once', async () => {
  const { ask, report } = fleet([{ name: 'a', maxConcurrency: 1 }]);
  ask('o');
  const waiting = ask('o');
  await settled();
  report([{ name: 'a', maxConcurrency: 1, state: EngineState.BACKOFF }]);
  await waiting.over;
  expect(waiting.error?.reason).toBe('NO_HEALTHY_ENGINE');
  const late = ask('o');
  await late.over;
  expect(late.error?.reason).toBe('NO_HEALTHY_ENGINE');
  report([{ name: 'a', unloaded: true }]);
  const unloaded = ask('o');
  await unloaded.over;
  expect(unloaded.error?.reason).toBe('MODEL_NOT_LOADED');
});

test('who waits for one engine does not hold up who may use another', async () => {
  const { ask } = fleet([
    { name: 'a', maxConcurrency: 1 },
    { name: 'b', maxConcurrency: 1 },
  ]);
  const onA = ask('o', { engine: 'a' });
  const waitsForA = ask('o', { model: 'a' });
  await settled();
  const any = ask('o');
  await any.over;
  expect([onA.place?.candidate.id, waitsForA.place, any.place?.candidate.id]).toEqual(['n/a', undefined, 'n/b']);
  const third = ask('o');
  await settled();
  onA.place?.leave();
  await waitsForA.over;
  expect([waitsForA.place?.candidate.id, third.place]).toEqual(['n/a', undefined]);
});

test('requests fill the context of an engine up to its limit, and a large one is not overtaken for ever', async () => {
  const { ask } = fleet([{ name: 'a', maxConcurrentContextTokens: 1_000, contextTokens: 4_000 }]);
  // A text prompt counts as 4 tokens at least.
  const small = [ask('o', { maxTokens: 396 }), ask('o', { maxTokens: 396 })];
  const large = ask('o', { maxTokens: 3_000 });
  const later = ask('o', { maxTokens: 96 });
  await settled();
  expect([granted(small), large.place, later.place]).toEqual([2, undefined, undefined]);
  small[0]?.place?.leave();
  await settled();
  expect([large.place, later.place]).toEqual([undefined, undefined]);
  small[1]?.place?.leave();
  await large.over;
  // Larger than the limit: it runs alone.
  expect([large.place?.candidate.id, later.place]).toEqual(['n/a', undefined]);
  large.place?.leave();
  await later.over;
  expect(later.place).toBeDefined();
});

test('an engine that says that it is busy counts as full for a moment', async () => {
  const { ask, places } = fleet([{ name: 'a' }]);
  const first = ask('o');
  await first.over;
  if (first.place) places.isBusy(first.place.candidate);
  first.place?.leave();
  const again = ask('o');
  await settled();
  expect(again.place).toBeUndefined();
  await again.over;
  expect(again.place?.candidate.id).toBe('n/a');
});

test('engines of the preferred name are taken before others', async () => {
  const { ask } = fleet([
    { name: 'a', maxConcurrency: 10 },
    { name: 'b', maxConcurrency: 1 },
  ]);
  const preferred = Array.from({ length: 2 }, () => ask('o', { preferred: 'b' }));
  await settled();
  expect(preferred.map(({ place }) => place?.candidate.id)).toEqual(['n/b', 'n/a']);
});

test('a refusal is known before anything is taken', async () => {
  const { ask, places, wanting, loads } = fleet([{ name: 'a', maxConcurrency: 1 }], { max_waiting: 0 });
  expect(places.refusalOf({ ...wanting(), route: () => undefined })?.reason).toBe('NO_HEALTHY_ENGINE');
  expect(places.refusalOf(wanting())).toBeUndefined();
  expect(loads.of('n/a').requests).toBe(0);
  await ask('o').over;
  expect(places.refusalOf(wanting())?.reason).toBe('QUEUE_FULL');
});

test('what needs no place finds a full engine too, but none that takes no requests', async () => {
  const { ask, places, report, wanting } = fleet([{ name: 'a', maxConcurrency: 1 }]);
  await ask('o').over;
  expect(places.beside(wanting()).candidate.id).toBe('n/a');
  report([{ name: 'a', state: EngineState.BACKOFF }]);
  expect(() => places.beside(wanting())).toThrow(expect.objectContaining({ reason: 'NO_HEALTHY_ENGINE' }));
});

test('who goes ahead is before all who wait, even in a full queue, and in no other way', async () => {
  const { ask } = fleet([{ name: 'a', maxConcurrency: 1 }], { max_waiting: 1, tier_priorities: { premium: 100 } });
  const running = ask('o');
  const waiting = ask('o', { tier: 'premium' });
  await settled();
  const ahead = ask('', { isAhead: true });
  await settled();
  expect([waiting.error?.reason, ahead.error]).toEqual(['QUEUE_FULL', undefined]);
  running.place?.leave();
  await ahead.over;
  expect(ahead.place?.candidate.id).toBe('n/a');
});

test('a refusal does not look at all who wait when the first of them wants every engine', async () => {
  const { ask, places, wanting } = fleet([{ name: 'a', maxConcurrency: 1 }], { max_waiting: 50 });
  const looks = { count: 0 };
  const { route } = wanting();
  const counting = () => {
    looks.count += 1;
    return route();
  };
  for (let i = 0; i < 51; i += 1) ask('o', { route: counting });
  await settled();
  expect(places.waiting).toBe(50);
  looks.count = 0;
  expect(places.refusalOf(wanting())?.reason).toBe('QUEUE_FULL');
  expect(looks.count).toBeLessThanOrEqual(1);
});
