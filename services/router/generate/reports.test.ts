import { create } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type ExtendRequest,
  LeaseExtensionSchema,
  LeaseStanding,
  QuotaService,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { DEFAULT_HOLD_MS, DrawDown } from './draw-down.ts';
import { Reports } from './reports.ts';

/** What quota was told, call by call. */
let calls: ExtendRequest[];
let isAway: boolean;
let answers: (request: ExtendRequest) => Promise<void> | void;
let logged: string[];
let reports: Reports;
/** Ends the reports of what a test added. */
let leaves: (() => void)[];

beforeEach(() => {
  calls = [];
  logged = [];
  leaves = [];
  isAway = false;
  answers = () => {};
  const transport = createRouterTransport((router) =>
    router.service(QuotaService, {
      async extend(request) {
        calls.push(request);
        await answers(request);
        if (isAway) throw toConnectError(new MeshError('STORE_UNAVAILABLE', 'away'));
        const leases = request.leases.map(({ reservationId, wantedCompletionTokens }) =>
          create(LeaseExtensionSchema, {
            ...{ reservationId, standing: LeaseStanding.HELD, coveredCompletionTokens: wantedCompletionTokens },
          }),
        );
        return { leases };
      },
    }),
  );
  const log = pino({ level: 'info' }, { write: (line: string) => logged.push(JSON.parse(line).msg) });
  reports = new Reports(createClient(QuotaService, transport), log);
});

afterEach(() => {
  for (const leave of leaves) leave();
});

function add(drawDown: DrawDown): () => void {
  const leave = reports.add(drawDown);
  leaves.push(leave);
  return leave;
}

function running(reservationId: string): DrawDown {
  const tokens = { promptTokens: 5, maxCompletionTokens: 1_000, coveredTokens: 100 };
  return new DrawDown({ reservationId, holdMs: DEFAULT_HOLD_MS, ...tokens }, performance.now());
}

test('all that is due goes in one call, a thousand at most', async () => {
  const all = Array.from({ length: 2_500 }, (_, i) => running(`r${i}`));
  for (const drawDown of all) {
    add(drawDown);
    drawDown.promptTokens = 3;
  }
  await expect.poll(() => calls.map(({ leases }) => leases.length)).toEqual([1_000, 1_000, 500]);
  expect(calls.map(({ holdFor }) => holdFor?.seconds)).toEqual([60n, 60n, 60n]);
});

test('one that waits is reported in the same turn, with all others that are due', async () => {
  const [waiting, other] = [running('a'), running('b')];
  add(waiting);
  add(other);
  const covered = Promise.withResolvers<boolean>();
  waiting.whenAnswered(covered.resolve);
  waiting.completionTokens = 100;
  waiting.need(130, performance.now());
  reports.urge();
  reports.urge();
  other.promptTokens = 3;
  expect(await covered.promise).toBe(true);
  expect(waiting.coveredTokens).toBe(200);
  expect(calls).toHaveLength(1);
  expect(calls[0]?.leases.map(({ reservationId }) => reservationId)).toEqual(['a', 'b']);
});

test('a report that is under way holds up no other, and is not sent again meanwhile', async () => {
  const open = Promise.withResolvers<void>();
  answers = ({ leases }) => (leases[0]?.reservationId === 'slow' ? open.promise : undefined);
  const [slow, quick] = [running('slow'), running('quick')];
  add(slow);
  slow.promptTokens = 3;
  await expect.poll(() => calls).toHaveLength(1);
  add(quick);
  quick.promptTokens = 3;
  await expect.poll(() => calls).toHaveLength(2);
  expect(calls[1]?.leases).toHaveLength(1);
  open.resolve();
});

test('what has ended is not reported, and answers about it reach nobody', async () => {
  const open = Promise.withResolvers<void>();
  answers = () => open.promise;
  const gone = running('gone');
  const leave = add(gone);
  gone.whenLost(() => expect.unreachable());
  gone.completionTokens = 90;
  await expect.poll(() => calls).toHaveLength(1);
  leave();
  open.resolve();
  const next = running('next');
  add(next);
  next.promptTokens = 3;
  await expect.poll(() => calls).toHaveLength(2);
  expect(calls[1]?.leases.map(({ reservationId }) => reservationId)).toEqual(['next']);
  expect(gone.coveredTokens).toBe(100);
});

test('while quota does not answer that is logged once, and so is its return', async () => {
  isAway = true;
  const [a, b] = [running('a'), running('b')];
  add(a);
  a.promptTokens = 3;
  await expect.poll(() => calls).toHaveLength(1);
  add(b);
  b.promptTokens = 3;
  await expect.poll(() => calls).toHaveLength(2);
  await expect.poll(() => logged).toHaveLength(1);
  isAway = false;
  await expect.poll(() => logged).toHaveLength(2);
  expect(logged[1]).toContain('answers again');
});
