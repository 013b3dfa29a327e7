import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { FinishReason } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
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
import type { CountPrompt } from '../../services/router/generate/prompt-count.ts';
import { MeshError } from '../../services/shared/errors/mesh-error.ts';
import { PEER_PRINCIPAL } from '../../services/shared/interceptors/principal.ts';
import { eventually } from '../harness/processes.ts';
import { describeStores } from '../harness/stores.ts';

const config = quotaConfigSchema.parse({
  tiers: {
    budget: { tokens_per_hour: 1_000 },
    out: { completion_tokens_per_hour: 250 },
    prompts: { prompt_tokens_per_hour: 50 },
    ample: { tokens_per_hour: 1_000_000 },
  },
  engines: { narrow: { requests_per_hour: 1 }, busy: { concurrent_requests: 1 } },
  models: { nickname: { requests_per_hour: 1 } },
  organization_defaults: {},
  reserve_window_tokens: 100,
});

/** The prompt "hi" by its bound, and as engines of the fixture tell it. */
const BOUND = 6;
const PROMPT = 2;

describeStores('streams draw their leases down', (stores) => {
  let context: QuotaContext;
  let quota: Client<typeof QuotaService>;
  let door: FrontDoor;
  let counts: (number | undefined)[];
  let aheadMs: number;
  const count: CountPrompt = async () => {
    const tokens = counts.shift();
    return tokens === undefined ? undefined : [{ tokens, isExact: true }];
  };

  beforeEach(async () => {
    counts = [];
    aheadMs = 0;
    const store = await stores.openEmpty();
    context = createQuotaContext(config, { store, now: () => Date.now() + aheadMs, log: pino({ level: 'silent' }) });
    quota = clientAs(context, PEER_PRINCIPAL);
    door = createFrontDoor(quota, principal('budget'), count);
  });
  afterEach(() => context.close());

  /** What a tier's limits have left and what of them is held. */
  async function left(tier: string): Promise<number[][]> {
    const { limits } = await quota.getLimits({ principal: principal(tier) });
    return limits.map(({ remaining, held }) => [Number(remaining), Number(held)]);
  }

  async function dispatched(generation: AtCaller, number = 0): Promise<AtEngine> {
    return eventually('it is with an engine or over', () => {
      if (generation.outcome !== undefined) throw new Error(generation.outcome);
      return door.atEngine[number];
    });
  }

  /** Makes tokens as fast as the flow lets it, until so many were made or the generation is over. */
  async function stream(generation: AtCaller, engine: AtEngine, tokens: number): Promise<void> {
    let left = tokens;
    await eventually('all tokens are made', () => {
      left -= engine.tokens(left);
      return left === 0 || generation.outcome !== undefined;
    });
  }

  async function billed(): Promise<{ promptTokens: number; completionTokens: number; requests: number }[]> {
    await door.settlement.idle();
    const { rows } = await quota.getUsage({ start: timestampFromMs(Date.now() - 86_400_000) });
    return rows.map(({ promptTokens, completionTokens, requests }) => ({
      promptTokens: Number(promptTokens),
      completionTokens: Number(completionTokens),
      requests: Number(requests),
    }));
  }

  test('a stream longer than its window gets more as it flows, and is charged to the token', async () => {
    const generation = door.ask({ sampling: { maxTokens: 700 } });
    const engine = await dispatched(generation);
    expect(await left('budget')).toEqual([[1_000 - BOUND - 100, BOUND + 100]]);
    await stream(generation, engine, 650);
    expect(generation.delivered).toBe(650);
    engine.finish();
    expect(generation.outcome).toBe('end');
    expect(await billed()).toEqual([{ promptTokens: PROMPT, completionTokens: 650, requests: 1 }]);
    expect(await left('budget')).toEqual([[1_000 - PROMPT - 650, 0]]);
  });

  test('it ends at the bound when no more can be had: delivered, charged and free add up to the limit', async () => {
    const generation = door.ask({ sampling: { maxTokens: 5_000 } });
    const engine = await dispatched(generation);
    await stream(generation, engine, 5_000);
    expect(generation.delivered).toBe(1_000 - PROMPT);
    expect(generation).toMatchObject({ outcome: 'end', reason: FinishReason.QUOTA_EXHAUSTED });
    expect(generation.events.at(-1)).toMatchObject({
      case: 'usage',
      value: { promptTokens: PROMPT, completionTokens: 1_000 - PROMPT },
    });
    expect(engine.call.signal.aborted).toBe(true);
    expect(await billed()).toEqual([{ promptTokens: PROMPT, completionTokens: 1_000 - PROMPT, requests: 1 }]);
    expect(await left('budget')).toEqual([[0, 0]]);
  });

  test('every choice that still ran is told why it ended', async () => {
    const generation = door.ask({ sampling: { maxTokens: 500, choices: 3 } });
    await stream(generation, await dispatched(generation), 5_000);
    const finished = generation.events.flatMap((event) => (event.case === 'finished' ? [event.value] : []));
    expect(finished.map(({ choice }) => choice)).toEqual([0, 1, 2]);
    expect(finished.every(({ reason }) => reason === FinishReason.QUOTA_EXHAUSTED)).toBe(true);
  });

  test('several prompts hold the sum of their bounds and are charged the sum of what they were, once', async () => {
    const morePrompts = [{ input: { case: 'text' as const, value: 'hi' } }];
    const generation = door.ask({ morePrompts, sampling: { maxTokens: 40 } });
    await dispatched(generation, 1);
    expect(await left('budget')).toEqual([[1_000 - 2 * BOUND - 80, 2 * BOUND + 80]]);
    for (const engine of door.atEngine) engine.tokens(30);
    expect(generation.delivered).toBe(60);
    for (const engine of door.atEngine) engine.finish();
    expect(generation).toMatchObject({ outcome: 'end', delivered: 60 });
    expect(await billed()).toEqual([{ promptTokens: 2 * PROMPT, completionTokens: 60, requests: 1 }]);
    expect(await left('budget')).toEqual([[1_000 - 2 * PROMPT - 60, 0]]);
  });

  test('whoever leaves several prompts is charged those that were begun; their limit ends all of them', async () => {
    const morePrompts = Array.from({ length: 2 }, () => ({ input: { case: 'text' as const, value: 'hi' } }));
    const gone = door.ask({ morePrompts, sampling: { maxTokens: 40 } });
    await dispatched(gone, 2);
    door.atEngine[1]?.tokens(5);
    gone.leave(new MeshError('CLIENT_GONE', 'gone'));
    expect(door.atEngine.every(({ call }) => call.signal.aborted)).toBe(true);
    expect(await billed()).toEqual([{ promptTokens: PROMPT, completionTokens: 5, requests: 1 }]);
    const spent = door.ask({ morePrompts, sampling: { maxTokens: 2_000 } });
    await dispatched(spent, 5);
    for (const engine of door.atEngine.slice(3)) engine.tokens(1);
    await stream(spent, door.atEngine[4] as AtEngine, 2_000);
    expect(spent).toMatchObject({ outcome: 'end', delivered: 1_000 - PROMPT - 5 - 3 * PROMPT });
    const finished = spent.events.flatMap((event) => (event.case === 'finished' ? [event.value.choice] : []));
    expect(finished).toEqual([0, 1, 2]);
    expect(await left('budget')).toEqual([[0, 0]]);
  });

  test('of a group that passes the bound as much is delivered as its text allows, and never more', async () => {
    const whole = door.ask({ sampling: { maxTokens: 400 } }, principal('out'));
    (await dispatched(whole)).group(90);
    door.atEngine[0]?.group(200);
    await eventually('it is over', () => whole.outcome);
    expect(whole).toMatchObject({ delivered: 90, reason: FinishReason.QUOTA_EXHAUSTED });
    expect(await left('out')).toEqual([[160, 0]]);
    const split = door.ask({ sampling: { maxTokens: 400 } }, principal('out'));
    const logprobs = Array.from({ length: 200 }, () => ({ token: 'x', logprob: 0, bytes: new Uint8Array(), top: [] }));
    (await dispatched(split, 1)).group(200, { logprobs });
    await eventually('it is over', () => split.outcome);
    expect(split).toMatchObject({ delivered: 160, reason: FinishReason.QUOTA_EXHAUSTED });
    expect(split.events.find(({ case: kind }) => kind === 'delta')?.value).toMatchObject({ text: 'x'.repeat(160) });
    expect((await billed())[0]).toMatchObject({ completionTokens: 250, requests: 2 });
    expect(await left('out')).toEqual([[0, 0]]);
  });

  test('an engine that makes more than max_tokens is cut there', async () => {
    const generation = door.ask({ sampling: { maxTokens: 10 } });
    await stream(generation, await dispatched(generation), 50);
    expect(generation).toMatchObject({ delivered: 10, outcome: 'end', reason: FinishReason.LENGTH });
    expect(await billed()).toMatchObject([{ completionTokens: 10 }]);
  });

  test('a bill that counts more than was streamed is charged whole, as far as there is room in the limit', async () => {
    const generation = door.ask({ sampling: { maxTokens: 400 } }, principal('out'));
    const engine = await dispatched(generation);
    engine.tokens(50);
    engine.group(300, { completionTokens: 50, text: '' });
    engine.finish();
    await eventually('it is over', () => generation.outcome);
    expect(generation).toMatchObject({ outcome: 'end', delivered: 50, reason: FinishReason.STOP });
    expect(await billed()).toMatchObject([{ completionTokens: 350 }]);
    expect(await left('out')).toEqual([[0, 0]]);
  });

  test('while it waits at the bound its engine is paused; a caller who leaves then is charged what was delivered', async () => {
    const generation = door.ask({ sampling: { maxTokens: 700 } });
    const engine = await dispatched(generation);
    engine.group(100);
    expect(engine.call.flow.paused).toBe(false);
    engine.group(50);
    expect(engine.call.flow.paused).toBe(true);
    expect(generation.delivered).toBe(100);
    generation.leave(new MeshError('CLIENT_GONE', 'gone'));
    expect(generation.outcome).toBe('CLIENT_GONE');
    expect(await billed()).toMatchObject([{ completionTokens: 100 }]);
  });

  test('a reader that is slow is heard through the bound', async () => {
    const generation = door.ask({ sampling: { maxTokens: 700 } });
    const engine = await dispatched(generation);
    generation.flow.pause();
    expect(engine.call.flow.paused).toBe(true);
    engine.group(150);
    await eventually('more is covered', () => generation.delivered === 150);
    expect(engine.call.flow.paused).toBe(true);
    generation.flow.resume();
    expect(engine.call.flow.paused).toBe(false);
  });

  test('50 streams on one budget: what they deliver together is the budget, to the token', async () => {
    const caller: Principal = principal('budget');
    const running = Array.from({ length: 50 }, () => door.ask({ sampling: { maxTokens: 60 } }, caller));
    await eventually('all are placed or refused', () => {
      return running.filter(({ outcome }) => outcome !== undefined).length + door.atEngine.length === 50;
    });
    // A prompt and 60 tokens each.
    expect(door.atEngine).toHaveLength(Math.floor(1_000 / (60 + BOUND)));
    for (const engine of door.atEngine) {
      engine.tokens(60);
      engine.finish();
    }
    const placed = door.atEngine.length;
    expect(await billed()).toEqual([
      { promptTokens: placed * PROMPT, completionTokens: placed * 60, requests: placed },
    ]);
    expect(await left('budget')).toEqual([[1_000 - placed * (60 + PROMPT), 0]]);
  });

  test('50 long streams that compete for the rest of a budget never pass it, and leave nothing', async () => {
    const caller = principal('budget');
    const running = Array.from({ length: 50 }, () => door.ask({ sampling: { maxTokens: 5_000 } }, caller));
    await eventually('all are placed or refused', () => {
      return running.filter(({ outcome }) => outcome !== undefined).length + door.atEngine.length === 50;
    });
    await eventually('all are over', () => {
      for (const engine of door.atEngine) engine.tokens(7);
      return running.every(({ outcome }) => outcome !== undefined);
    });
    const delivered = running.reduce((sum, generation) => sum + generation.delivered, 0);
    expect(delivered + door.atEngine.length * PROMPT).toBe(1_000);
    expect(await billed()).toMatchObject([{ completionTokens: delivered, requests: door.atEngine.length }]);
    expect(await left('budget')).toEqual([[0, 0]]);
  });

  test('the length of a prompt is bounded first; what it was too much is free at the first token', async () => {
    const generation = door.ask({ text: 'x'.repeat(500), sampling: { maxTokens: 10 } });
    const engine = await dispatched(generation);
    expect(await left('budget')).toEqual([[1_000 - 514, 514]]);
    engine.tokens(1);
    await eventually('it is reported', async () => (await left('budget'))[0]?.[0] === 1_000 - PROMPT - 10);
  });

  test('what a prompt was reserved too much is there for the tokens that come with its length', async () => {
    const generation = door.ask({ text: 'x'.repeat(500), sampling: { maxTokens: 900 } });
    (await dispatched(generation)).group(900);
    await eventually('it goes on', () => generation.delivered === 900);
    door.atEngine[0]?.finish();
    expect(await billed()).toEqual([{ promptTokens: PROMPT, completionTokens: 900, requests: 1 }]);
  });

  test('a prompt whose bound is refused is counted, once; the answer is as if it had been counted first', async () => {
    const caller = principal('prompts');
    const text = 'x'.repeat(200);
    counts = [50, 51, undefined];
    await dispatched(door.ask({ text, sampling: { maxTokens: 10 } }, caller));
    expect(await left('prompts')).toEqual([[0, 50]]);
    door.atEngine[0]?.finish();
    await door.settlement.idle();
    const refused = door.ask({ text, sampling: { maxTokens: 10 } }, caller);
    expect(await eventually('it is refused', () => refused.outcome)).toBe('TOKEN_BUDGET_SPENT');
    const uncounted = door.ask({ text, sampling: { maxTokens: 10 } }, caller);
    expect(await eventually('it is refused', () => uncounted.outcome)).toBe('TOKEN_BUDGET_SPENT');
    expect(counts).toEqual([]);
    const fits = door.ask({ sampling: { maxTokens: 10 } }, caller);
    expect(await dispatched(fits, 1)).toBeDefined();
  });

  test('tokens of an engine that never told the prompt are charged with its bound', async () => {
    const generation = door.ask({ sampling: { maxTokens: 10 } });
    const engine = await dispatched(generation);
    engine.group(3, { promptTokens: 0 });
    generation.leave(new MeshError('CLIENT_GONE', 'gone'));
    expect(await billed()).toMatchObject([{ promptTokens: BOUND, completionTokens: 3 }]);
  });

  test('an engine whose own limit is full is passed over', async () => {
    door.report(['a', 'narrow'].map((name) => ({ name, contextTokens: 1_000 })));
    for (let i = 0; i < 12; i += 1) {
      await dispatched(door.ask({}, principal('ample')), i);
      door.atEngine[i]?.finish();
      await door.settlement.idle();
    }
    expect(door.atEngine.filter(({ engine }) => engine === 'narrow').length).toBeLessThanOrEqual(1);
  });

  test('when the limits of all engines are full the caller is told to wait for the one that frees first', async () => {
    door.report(['narrow', 'busy'].map((name) => ({ name, contextTokens: 1_000 })));
    for (let i = 0; i < 2; i += 1) await dispatched(door.ask({}, principal('ample')), i);
    expect(door.atEngine.map(({ engine }) => engine).sort()).toEqual(['busy', 'narrow']);
    const third = door.ask({}, principal('ample'));
    expect(await eventually('it is refused', () => third.outcome)).toBe('RATE_LIMIT_EXCEEDED');
    expect(third.error?.metadata.limit).toContain('busy');
    door.atEngine.find(({ engine }) => engine === 'busy')?.finish();
    await door.settlement.idle();
    expect((await dispatched(door.ask({}, principal('ample')), 2)).engine).toBe('busy');
  });

  test('a limit holds that names the model by a name that is not its id, whatever name is asked for', async () => {
    door.report([{ name: 'nickname', contextTokens: 1_000 }]);
    (await dispatched(door.ask({}, principal('ample')))).finish();
    const second = door.ask({}, principal('ample'));
    expect(await eventually('it is refused', () => second.outcome)).toBe('RATE_LIMIT_EXCEEDED');
    expect(second.error?.metadata.limit).toBe('model:nickname:requests:hour');
  });

  test('a lease that ended under its stream ends the stream', async () => {
    const generation = door.ask({ sampling: { maxTokens: 700 } });
    const engine = await dispatched(generation);
    engine.tokens(5);
    const { reservations } = await quota.listReservations({});
    await quota.release({ operationId: 'x', reservationId: reservations[0]?.reservationId ?? '' });
    await eventually('it is told', () => generation.outcome === 'STORE_UNAVAILABLE');
    expect(engine.call.signal.aborted).toBe(true);
    expect(generation.error?.retryAfterMs).toBeGreaterThan(0);
  });

  test('a stream that is ended while the last tokens of its engine, which is at its end, wait to be covered', async () => {
    const left = door.ask({ sampling: { maxTokens: 700 } });
    const lost = door.ask({ sampling: { maxTokens: 700 } });
    for (const engine of [await dispatched(left), await dispatched(lost, 1)]) engine.tokens(5);
    for (const { reservationId } of (await quota.listReservations({})).reservations) {
      await quota.release({ operationId: 'x', reservationId });
    }
    for (const engine of door.atEngine) {
      engine.group(200);
      engine.finish();
    }
    left.leave(new MeshError('CLIENT_GONE', 'gone'));
    expect(left).toMatchObject({ outcome: 'CLIENT_GONE', delivered: 5 });
    await eventually('the other is told', () => lost.outcome === 'STORE_UNAVAILABLE');
    expect(lost.delivered).toBe(5);
    await door.settlement.idle();
  });

  // Redis has a clock of its own.
  test.runIf(stores.kind === 'sqlite')('one that expired ends its stream; what was delivered is charged', async () => {
    const generation = door.ask({ sampling: { maxTokens: 700 } });
    const engine = await dispatched(generation);
    engine.tokens(5);
    aheadMs = 61_000;
    await context.store.sweep();
    expect(await left('budget')).toEqual([[1_000, 0]]);
    await eventually('it is told', () => generation.outcome === 'STORE_UNAVAILABLE');
    expect(await billed()).toEqual([{ promptTokens: PROMPT, completionTokens: 5, requests: 1 }]);
    expect(await left('budget')).toEqual([[1_000 - PROMPT - 5, 0]]);
  });

  test.runIf(stores.kind === 'redis')(
    'while the store is away streams go on within what they hold, nobody new is let in, and the bill is exact in the end',
    async () => {
      const server = stores.server().child;
      const [ending, waiting] = [door.ask({ sampling: { maxTokens: 90 } }), door.ask({ sampling: { maxTokens: 700 } })];
      await eventually('both run', () => door.atEngine.length === 2);
      server.kill('SIGSTOP');
      try {
        // They go on within what is covered: one to its end, one to its bound.
        const [first, second] = await Promise.all([dispatched(ending), dispatched(waiting, 1)]);
        first.tokens(90);
        first.finish();
        expect(ending).toMatchObject({ outcome: 'end', delivered: 90 });
        second.tokens(100);
        second.group(30);
        const refused = door.ask();
        expect(await eventually('it is refused', () => refused.outcome)).toBe('STORE_UNAVAILABLE');
        expect(refused.error?.retryAfterMs).toBeGreaterThan(0);
        expect(waiting).toMatchObject({ outcome: undefined, delivered: 100 });
      } finally {
        server.kill('SIGCONT');
      }
      await eventually('it goes on', () => waiting.delivered === 130);
      door.atEngine[1]?.finish();
      expect(waiting.outcome).toBe('end');
      expect(await billed()).toEqual([{ promptTokens: 2 * PROMPT, completionTokens: 220, requests: 2 }]);
      expect(await left('budget')).toEqual([[1_000 - 2 * PROMPT - 220, 0]]);
    },
  );
});
