import { describe, expect, test } from 'vitest';
import type { Measurement } from '../harness/measure.ts';
import type { Results } from '../harness/results.ts';
import { readWorkload } from '../harness/workloads.ts';
import { bendOf } from '../parts/curve.ts';
import { growthOf } from '../parts/memory.ts';
import { goalsOf, goalsTable, verdictOf } from './goals.ts';
import { leavingTable, streamsPerCoreTable } from './more-tables.ts';
import { whereOthersWin } from './others.ts';
import { specificationsOf } from './plots.ts';
import { reportOf } from './report.ts';
import { workloadTable } from './tables.ts';

function run(peer: string, repetition: number, changes: Partial<Measurement['load']> & { cpuUs: number }): Measurement {
  const { cpuUs, ...load } = changes;
  const zero = {
    requests: 1,
    errors: 0,
    firstError: '',
    seconds: 1,
    requestsPerSecond: 1,
    tokens: 100,
    tokensPerSecond: 100,
  };
  const times = {
    latencyP50Us: 1,
    latencyP99Us: 1,
    firstTokenP50Us: 1,
    firstTokenP99Us: 1,
    transitP50Us: 1,
    transitP99Us: 1,
  };
  const rest = {
    reads: 1,
    bytes: 1,
    clientCpuSeconds: 0,
    transitMaxUs: 1,
    countedTokens: 100,
    lateTokens: 0,
    startedAtUs: 0,
  };
  return {
    ...{ peer, repetition, workload: 'paced-c256', cpuUs, peakRssBytes: 100e6, loadCoreShare: 0.1 },
    load: { ...zero, ...times, ...rest, left: [], ...load },
  };
}

const machine = { date: '2026-11-22', commit: 'abc', cpu: 'c', memoryGib: 1, kernel: 'k', node: 'n', loadBefore: 0 };

function resultsOf(changes: Partial<Results>): Results {
  return {
    ...{ machine, minutes: 1, repetitions: 2, isQuick: false, versions: {}, missing: {}, failed: {}, beyond: {} },
    ...{ workloads: [readWorkload('paced-c256')], measurements: [], idle: [], leaving: [], streamsPerCore: [] },
    ...changes,
  };
}

const twoPeers = resultsOf({
  measurements: [
    ...[run('direct', 1, { cpuUs: 0 }), run('nginx', 1, { cpuUs: 1_000 }), run('mesh', 1, { cpuUs: 1_500 })],
    // The machine is twice as slow in the second repetition, which the ratio must not show.
    ...[run('direct', 2, { cpuUs: 0 }), run('nginx', 2, { cpuUs: 2_000 }), run('mesh', 2, { cpuUs: 3_400 })],
  ],
});

describe('report', () => {
  test('takes ratios within each repetition and judges the median', () => {
    const [first] = goalsOf(twoPeers);
    expect(first?.measured).toEqual({ median: 1.6, min: 1.5, max: 1.7 });
    if (first === undefined) throw new Error('no goal');
    expect(verdictOf(first)).toBe('met, and the aim');
    expect(verdictOf({ ...first, measured: { median: 2.01, min: 1, max: 3 } })).toBe('missed');
    expect(verdictOf({ ...first, measured: { median: 1.9, min: 1, max: 3 } })).toBe('met');
    const atLeast = { ...first, isAtLeast: true, must: 600, aim: 800 };
    expect(verdictOf({ ...atLeast, measured: { median: 500, min: 500, max: 500 } })).toBe('missed');
    expect(verdictOf({ ...atLeast, measured: { median: 800, min: 800, max: 800 } })).toBe('met, and the aim');
  });

  test('says what was not measured instead of judging it', () => {
    expect(goalsTable(twoPeers)).toContain('| ≤ 0.5 × | ≤ 0.4 × | – | not measured |');
  });

  test('says who could not keep up and who was left out', () => {
    const slow = run('portkey', 1, { cpuUs: 5_000, tokensPerSecond: 60 });
    const results = resultsOf({
      measurements: [...twoPeers.measurements, slow],
      beyond: { 'paced-c256': ['litellm'] },
    });
    const table = workloadTable(readWorkload('paced-c256'), results);
    expect(table).toContain('could not keep up: 60.0 of 100');
    expect(table).toContain('queue: litellm.');
    expect(table).not.toContain('× litellm');
  });

  test('says in what others win, and that an engine never noticed', () => {
    const one = { repetition: 1, errors: 0, left: 2 };
    const leaving = [
      { ...one, peer: 'mesh', engineIdleAfterUs: [1_000, 3_000] },
      { ...one, peer: 'portkey', engineIdleAfterUs: [] },
      { ...one, peer: 'nginx', engineIdleAfterUs: [100, 100] },
    ];
    const measurements = [...twoPeers.measurements, run('portkey', 1, { cpuUs: 9_000 })];
    const results = resultsOf({ measurements, leaving });
    expect(leavingTable(results)).toContain('| portkey | 2 | – | – | 2 |');
    const text = whereOthersWin(results);
    expect(text).toContain('**nginx** wins 2 of');
    expect(text).toContain('**portkey** wins none of');
    expect(text).toContain('| 2 | **0.10** | never |');
  });

  test('names the most streams that held, and what came beyond', () => {
    const trial = { tokens: 1_000, longestMs: 5, errors: 0 };
    const trials = [
      { ...trial, streams: 400, late: 0 },
      { ...trial, streams: 700, late: 40, longestMs: 33 },
    ];
    const streamsPerCore = [{ peer: 'mesh', streams: 400, streamsNearly: 400, trials }];
    expect(streamsPerCoreTable(resultsOf({ streamsPerCore }))).toContain(
      '| mesh | 400 | 400 | 700 streams: 40 of 1000 late, up to 33.0 ms |',
    );
  });

  test('a curve bends up where its end lies above its lowest point by more than noise', () => {
    const at = (x: number, y: number) => ({ peer: 'mesh', repetition: 1, x, y, errors: 0 });
    expect(bendOf({ points: [at(1, 10), at(10, 5), at(100, 11)] }, 'mesh')).toMatchObject({
      ...{ lastOfFirst: 1.1, lastOfLowest: 2.2, bendsUp: true },
    });
    expect(bendOf({ points: [at(100, 13), at(1, 10)] }, 'mesh')).toMatchObject({ lastOfFirst: 1.3, bendsUp: true });
    expect(bendOf({ points: [at(1, 10), at(100, 11)] }, 'mesh')).toMatchObject({ lastOfFirst: 1.1, bendsUp: false });
  });

  test('the growth of memory is that of the second half', () => {
    const samples = Array.from({ length: 21 }, (_, n) => ({
      requests: n * 500,
      rssBytes: n <= 10 ? 50e6 * n : 500e6 + (n - 10) * 2 ** 20,
    }));
    const { mibPer1000Requests, lastOfHalf } = growthOf({ samples, requests: 10_000, errors: 0 });
    expect(mibPer1000Requests).toBeCloseTo(2, 5);
    expect(lastOfHalf).toBeGreaterThan(1);
  });

  test('whole pages have no plots of what was not measured, and no empty parts', () => {
    expect(Object.keys(specificationsOf(twoPeers))).toEqual(['cpu-per-token', 'transit-p99', 'peak-memory']);
    const text = reportOf(twoPeers, { plots: { 'cpu-per-token': '<svg/>' }, imageDirectory: 'performance' });
    expect(text).toContain('(performance/cpu-per-token.svg)');
    expect(text).not.toMatch(/Scale|undefined|NaN|cpu-per-request/);
  });
});
