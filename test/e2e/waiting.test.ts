import { durationMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LimitScope } from '../../gen/mesh/quota/v1/limit_pb.ts';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { quotaConfigSchema } from '../../services/quota/config.ts';
import { createQuotaContext, type QuotaContext } from '../../services/quota/context.ts';
import { clientAs, principal } from '../../services/quota/quota.fixture.ts';
import {
  type AtCaller,
  type AtEngine,
  createFrontDoor,
  type FrontDoor,
} from '../../services/router/generate/front-door.fixture.ts';
import { MeshError } from '../../services/shared/errors/mesh-error.ts';
import { PEER_PRINCIPAL } from '../../services/shared/interceptors/principal.ts';
import { eventually } from '../harness/processes.ts';
import { describeStores } from '../harness/stores.ts';

const config = quotaConfigSchema.parse({
  tiers: {
    ample: { tokens_per_hour: 1_000_000 },
    two: { concurrent_requests: 2 },
  },
  engines: {
    single: { concurrent_requests: 1 },
    chat: { concurrent_requests: 50 },
    other: { concurrent_requests: 50 },
  },
  organization_defaults: {},
});
const gone = new MeshError('CLIENT_GONE', 'gone');
const asked = { sampling: { maxTokens: 100 } };

describeStores('requests wait for a place', (stores) => {
  let context: QuotaContext;
  let quota: Client<typeof QuotaService>;
  let door: FrontDoor;

  beforeEach(async () => {
    const store = await stores.openEmpty();
    context = createQuotaContext(config, { store, now: Date.now, log: pino({ level: 'silent' }) });
    quota = clientAs(context, PEER_PRINCIPAL);
    door = createFrontDoor(quota, principal('ample'), undefined, { max_waiting: 2 });
    door.report([{ name: 'chat', contextTokens: 100_000, maxConcurrency: 1 }]);
  });
  afterEach(() => context.close());

  async function dispatched(generation: AtCaller, number: number): Promise<AtEngine> {
    return eventually('it is with an engine or over', () => {
      if (generation.outcome !== undefined) throw new Error(generation.outcome);
      return door.atEngine[number];
    });
  }
  const waiting = (count: number) => eventually(`${count} wait`, () => door.places.waiting === count);
  const over = (generation: AtCaller) => eventually('it is over', () => generation.outcome);

  /** How many leases are held. */
  async function held(): Promise<number> {
    await door.settlement.idle();
    return (await quota.listReservations({})).reservations.length;
  }

  /** The engine whose limits the lease is over. */
  function leasedAt(generation: AtCaller): string | undefined {
    const [started] = generation.events;
    const limits = started?.case === 'started' ? started.value.limits : [];
    return limits.find(({ limit }) => limit?.scope === LimitScope.ENGINE)?.limit?.subject;
  }

  async function billed(): Promise<number> {
    await door.settlement.idle();
    const { rows } = await quota.getUsage({ start: timestampFromMs(Date.now() - 86_400_000) });
    return rows.reduce((sum, { requests }) => sum + Number(requests), 0);
  }

  test('its lease is taken before the wait, it runs in its turn, and is told how long that took', async () => {
    const first = await dispatched(door.ask(asked), 0);
    const second = door.ask(asked);
    await waiting(1);
    expect(await held()).toBe(2);
    expect(door.pipeline.runningCount).toBe(2);
    first.finish();
    const engine = await dispatched(second, 1);
    const [started] = second.events;
    if (started?.case !== 'started' || !started.value.queueTime) expect.fail('no queue time');
    expect(durationMs(started.value.queueTime)).toBeGreaterThan(0);
    engine.tokens(5);
    engine.finish();
    expect(second.outcome).toBe('end');
    expect([await held(), await billed()]).toEqual([0, 2]);
  });

  test('who leaves while he waits is charged nothing, and keeps nothing', async () => {
    await dispatched(door.ask(asked), 0);
    const second = door.ask(asked);
    await waiting(1);
    second.leave(gone);
    expect(await over(second)).toBe('CLIENT_GONE');
    expect([door.places.waiting, await held(), door.pipeline.runningCount]).toEqual([0, 1, 1]);
    const { limits } = await quota.getLimits({ principal: principal('ample') });
    expect(limits.map(({ held }) => Number(held))).toEqual([106]);
  });

  test('who waits longer than his time is told so, and never reaches an engine', async () => {
    const first = await dispatched(door.ask(asked), 0);
    const late = door.ask({ ...asked, timeoutMs: 200 });
    expect(await over(late)).toBe('DEADLINE_EXCEEDED');
    first.finish();
    expect([door.atEngine.length, await held(), await billed()]).toEqual([1, 0, 1]);
  });

  test('what quota refuses is refused at once, and those who wait count', async () => {
    const caller = principal('two');
    await dispatched(door.ask(asked, caller), 0);
    door.ask(asked, caller);
    await waiting(1);
    const third = door.ask(asked, caller);
    expect(await over(third)).toBe('RATE_LIMIT_EXCEEDED');
    expect(door.places.waiting).toBe(1);
  });

  test('a full queue is told at once and costs nothing', async () => {
    await dispatched(door.ask(asked), 0);
    door.ask(asked);
    door.ask(asked);
    await waiting(2);
    const refused = door.ask(asked);
    expect(await over(refused)).toBe('QUEUE_FULL');
    expect(refused.error?.retryAfterMs).toBeGreaterThanOrEqual(1_000);
    expect(await held()).toBe(3);
  });

  /** Two engines with one place each, both taken; who comes would rather wait for `chat`, which has less to do. */
  async function twoFull(caller = principal('ample')): Promise<{ chat: AtEngine; other: AtEngine }> {
    const chat = { name: 'chat', contextTokens: 100_000, maxConcurrency: 1 };
    door.report([{ ...chat, name: 'other' }]);
    const other = await dispatched(door.ask({ sampling: { maxTokens: 5_000 } }), 0);
    door.report([chat, { ...chat, name: 'other' }]);
    return { other, chat: await dispatched(door.ask(asked, caller), 1) };
  }

  test('a place at an engine of another name has a lease for that name', async () => {
    const { chat, other } = await twoFull();
    const third = door.ask(asked);
    await waiting(1);
    other.finish();
    const engine = await dispatched(third, 2);
    expect([engine.engine, leasedAt(third)]).toEqual(['other', 'other']);
    expect(await held()).toBe(2);
    chat.finish();
    engine.finish();
    expect([await held(), await billed()]).toEqual([0, 3]);
  });

  test('without room for a second lease it keeps the first and waits for engines of that name', async () => {
    const caller = principal('two');
    const { chat, other } = await twoFull(caller);
    const third = door.ask(asked, caller);
    await waiting(1);
    other.finish();
    await eventually('it declined the other place', () => door.places.waiting === 1 && door.atEngine.length === 2);
    await door.settlement.idle();
    expect([door.atEngine.length, await held()]).toEqual([2, 2]);
    chat.finish();
    expect((await dispatched(third, 2)).engine).toBe('chat');
    expect(leasedAt(third)).toBe('chat');
  });

  test('the own limit of an engine is kept, whoever waits', async () => {
    door.report([
      { name: 'chat', contextTokens: 100_000, maxConcurrency: 1 },
      { name: 'single', contextTokens: 100_000, maxConcurrency: 5 },
    ]);
    const running = [await dispatched(door.ask(asked), 0), await dispatched(door.ask(asked), 1)];
    expect(running.map(({ engine }) => engine).toSorted()).toEqual(['chat', 'single']);
    const third = door.ask(asked);
    await waiting(1);
    expect(await held()).toBe(3);
    running.find(({ engine }) => engine === 'chat')?.finish();
    expect((await dispatched(third, 2)).engine).toBe('chat');
  });

  test('each choice of an engine that makes one at a time waits its turn, behind others who came before', async () => {
    door = createFrontDoor(quota, principal('ample'), undefined, { max_waiting: 3 });
    door.report([{ name: 'chat', contextTokens: 100_000, maxConcurrency: 1, capabilities: { choices: false } }]);
    const three = door.ask({ sampling: { maxTokens: 100, choices: 3 } });
    const first = await dispatched(three, 0);
    await waiting(2);
    const other = door.ask(asked, { ...principal('ample'), organizationId: 'another' });
    await waiting(3);
    first.tokens(1);
    first.finish();
    await dispatched(three, 1).then((second) => second.finish());
    const third = await dispatched(other, 2);
    expect([other.events.length > 0, three.outcome, other.outcome]).toEqual([true, undefined, undefined]);
    third.finish();
    await dispatched(three, 3).then((last) => last.finish());
    expect([three.outcome, other.outcome, await held()]).toEqual(['end', 'end', 0]);
  });

  test('a shutdown ends those who wait', async () => {
    await dispatched(door.ask(asked), 0);
    const second = door.ask(asked);
    await waiting(1);
    door.pipeline.drain();
    expect(door.pipeline.runningCount).toBe(2);
    door.pipeline.abortAll(new MeshError('SHUTTING_DOWN', 'bye'));
    expect(await over(second)).toBe('SHUTTING_DOWN');
    await eventually('nothing is left', () => door.pipeline.runningCount === 0);
    expect(await held()).toBe(0);
  });
});
