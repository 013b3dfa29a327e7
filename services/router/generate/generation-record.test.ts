import { create } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { type AtEngine, createFrontDoor, type FrontDoor } from './front-door.fixture.ts';

const COVERED_TOKENS = 1_000;
const quota = createClient(
  QuotaService,
  createRouterTransport(({ service }) => {
    service(QuotaService, {
      reserve: ({ reservationId }) => ({ reservationId, coveredCompletionTokens: COVERED_TOKENS }),
      release: () => ({}),
      settle: () => ({}),
    });
  }),
);
const caller = create(PrincipalSchema, { keyId: 'k', userId: 'u', tier: 'standard', scopes: [Scope.GENERATE] });

async function atEngine(door: FrontDoor, index = 0): Promise<AtEngine> {
  await expect.poll(() => door.atEngine.length).toBeGreaterThan(index);
  return door.atEngine[index] ?? expect.fail('not dispatched');
}

test('a generation that ends is told once, with what it was, where it ran and what it cost', async () => {
  const door = createFrontDoor(quota, caller);
  door.ask();
  const engine = await atEngine(door);
  engine.tokens(3);
  expect(door.records).toEqual([]);
  engine.finish();
  expect(door.records).toHaveLength(1);
  const [record] = door.records;
  expect(record).toMatchObject({
    ...{ operation: 'text_completion', requestId: 'r', modelAsked: 'm', modelId: 'm', engine: 'chat', node: 'n' },
    ...{ promptTokens: 2, completionTokens: 3, attempts: 1, takeovers: 0, finishReason: FinishReason.STOP },
    principal: caller,
    error: undefined,
  });
  const { enteredAtMs, bookedAtMs, sentAtMs, firstTokenAtMs, endedAtMs } = record ?? expect.fail();
  const times = [enteredAtMs, bookedAtMs, sentAtMs, firstTokenAtMs, endedAtMs].map((time) => time ?? Number.NaN);
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
});

test('one that breaks off is told with its failure and the tokens that are charged', async () => {
  const door = createFrontDoor(quota, caller);
  const side = door.ask();
  const engine = await atEngine(door);
  engine.tokens(5);
  side.leave(new MeshError('CLIENT_GONE', 'gone'));
  expect(door.records).toMatchObject([
    { completionTokens: 5, error: { reason: 'CLIENT_GONE' }, finishReason: undefined },
  ]);
});

test('one that is refused before it has an engine is told too, once', async () => {
  const door = createFrontDoor(quota, caller);
  const side = door.ask({ engine: 'no-such-engine' });
  await expect.poll(() => side.outcome).toBeDefined();
  expect(door.records).toHaveLength(1);
  expect(door.records[0]).toMatchObject({ principal: caller, engine: undefined, sentAtMs: undefined, attempts: 0 });
  expect(door.records[0]?.error?.reason).toBe(side.outcome);
});

test('an observer hears of a generation only when its caller has', async () => {
  const door = createFrontDoor(quota, caller);
  const side = door.ask();
  let outcome: string | undefined = 'not told';
  door.records.push = () => {
    outcome = side.outcome;
    return 1;
  };
  (await atEngine(door)).finish();
  expect(outcome).toBe('end');
});
