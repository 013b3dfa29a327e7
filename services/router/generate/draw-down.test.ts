import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { LeaseExtensionSchema, LeaseStanding } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { DEFAULT_HOLD_MS, DrawDown, RENEWALS_PER_HOLD, REPORT_EVERY_MS } from './draw-down.ts';

const { HELD, ENDED, UNKNOWN } = LeaseStanding;
const answer = (coveredCompletionTokens: number, standing: LeaseStanding = HELD) =>
  create(LeaseExtensionSchema, { reservationId: 'r', standing, coveredCompletionTokens });

/** A lease of 5 of 100 prompt tokens that covers 100 of 1,000, at 0 ms. */
function start(more: object = {}): DrawDown {
  const tokens = { promptTokens: 5, maxCompletionTokens: 1_000, coveredTokens: 100 };
  return new DrawDown({ reservationId: 'r', holdMs: DEFAULT_HOLD_MS, ...tokens, ...more }, 0);
}

test('tokens are reported once a second, the length of the prompt at once', () => {
  const drawDown = start();
  expect(drawDown.isDue(REPORT_EVERY_MS)).toBe(false);
  drawDown.completionTokens = 10;
  expect(drawDown.isDue(REPORT_EVERY_MS - 1)).toBe(false);
  drawDown.promptTokens = 3;
  expect(drawDown.isDue(1)).toBe(true);
  expect(drawDown.report(1)).toEqual({
    ...{ reservationId: 'r', promptTokens: 3, completionTokens: 10, wantedCompletionTokens: 0 },
  });
  drawDown.answered(answer(100));
  drawDown.completionTokens = 20;
  expect(drawDown.isDue(REPORT_EVERY_MS)).toBe(false);
  expect(drawDown.isDue(REPORT_EVERY_MS + 1)).toBe(true);
});

test('nothing is reported while a report is under way', () => {
  const drawDown = start();
  drawDown.promptTokens = 3;
  drawDown.report(0);
  drawDown.completionTokens = 10;
  expect(drawDown.isDue(10_000)).toBe(false);
});

test('a lease without news is renewed', () => {
  const drawDown = start();
  expect(drawDown.isDue(DEFAULT_HOLD_MS / RENEWALS_PER_HOLD - 1)).toBe(false);
  expect(drawDown.isDue(DEFAULT_HOLD_MS / RENEWALS_PER_HOLD)).toBe(true);
  expect(start({ holdMs: 8_000 }).isDue(2_000)).toBe(true);
});

test('more is asked for when less than half of the window is left, at once, up to what the request allows', () => {
  const drawDown = start();
  drawDown.completionTokens = 50;
  expect(drawDown.isDue(1)).toBe(false);
  drawDown.completionTokens = 51;
  expect(drawDown.isDue(1)).toBe(true);
  expect(drawDown.report(1)).toMatchObject({ completionTokens: 51, wantedCompletionTokens: 151 });
  drawDown.answered(answer(151));
  expect(drawDown.coveredTokens).toBe(151);
  drawDown.completionTokens = 950;
  expect(drawDown.report(2)).toMatchObject({ wantedCompletionTokens: 1_000 });
  drawDown.answered(answer(1_000));
  drawDown.completionTokens = 990;
  expect(drawDown.report(3)).toMatchObject({ wantedCompletionTokens: 0 });
});

test('where a limit had less than was wanted it is asked once a second', () => {
  const drawDown = start();
  drawDown.completionTokens = 60;
  drawDown.report(0);
  drawDown.answered(answer(110));
  drawDown.completionTokens = 70;
  expect(drawDown.isDue(REPORT_EVERY_MS - 1)).toBe(false);
  expect(drawDown.isDue(REPORT_EVERY_MS)).toBe(true);
});

test('one that waits asks at once for what it waits for, and is told whether the answer was about that', () => {
  const drawDown = start();
  const told: boolean[] = [];
  drawDown.whenAnswered((isFinal) => told.push(isFinal));
  drawDown.completionTokens = 60;
  drawDown.report(0);
  drawDown.need(300, 1);
  drawDown.answered(answer(120));
  expect(told).toEqual([false]);
  expect(drawDown.isDue(1)).toBe(true);
  expect(drawDown.report(1)).toMatchObject({ wantedCompletionTokens: 300 });
  drawDown.answered(answer(130));
  expect(told).toEqual([false, true]);
  drawDown.goOn();
  drawDown.report(2);
  drawDown.answered(answer(140));
  expect(told).toEqual([false, true]);
});

test('what is covered never shrinks', () => {
  const drawDown = start();
  drawDown.report(0);
  drawDown.answered(answer(7));
  expect(drawDown.coveredTokens).toBe(100);
});

test('a report that got no answer is sent again a second later, whole', () => {
  const drawDown = start();
  drawDown.promptTokens = 3;
  drawDown.completionTokens = 10;
  drawDown.report(0);
  drawDown.missed(2_000);
  expect(drawDown.isDue(2_999)).toBe(false);
  expect(drawDown.isDue(3_000)).toBe(true);
  expect(drawDown.report(3_000)).toMatchObject({ promptTokens: 3, completionTokens: 10 });
});

test('one that waits while quota does not answer is given up when its lease may have run out', () => {
  const drawDown = start();
  const lost: string[] = [];
  drawDown.whenLost(({ reason }) => lost.push(reason));
  drawDown.missed(DEFAULT_HOLD_MS * 2);
  drawDown.need(200, 1_000);
  drawDown.missed(DEFAULT_HOLD_MS + 999);
  expect(lost).toEqual([]);
  drawDown.missed(DEFAULT_HOLD_MS + 1_000);
  expect(lost).toEqual(['STORE_UNAVAILABLE']);
});

test.each([ENDED, UNKNOWN])('a lease that is no longer held (%i) ends its generation', (standing) => {
  const drawDown = start();
  const lost: string[] = [];
  drawDown.whenLost(({ reason }) => lost.push(reason));
  drawDown.report(0);
  drawDown.answered(answer(0, standing));
  expect(lost).toEqual(['STORE_UNAVAILABLE']);
});
