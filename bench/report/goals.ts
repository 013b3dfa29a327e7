import type { Results } from '../harness/results.ts';
import type { Summary } from '../harness/statistics.ts';
import {
  BASE,
  compared,
  DIRECT,
  firstTokenMs,
  over,
  peakMb,
  perRequestUs,
  perTokenUs,
  table,
  transitP99Ms,
  withRange,
} from './figures.ts';

/** What the project wants of a figure, and what it is. */
export interface Goal {
  readonly figure: string;
  readonly unit: string;
  readonly must: number;
  readonly aim: number;
  /** Whether more is better. */
  readonly isAtLeast: boolean;
  /** Undefined: not measured in this run. */
  readonly measured: Summary | undefined;
}

const PACED = 'paced-c256';
/** The most streams that LiteLLM is loaded with. */
const PACED_FEW = 'paced-c32';
const UNARY = 'unary-c32';
const FIRST_TOKEN = 'ttft-c1';

export type Verdict = 'not measured' | 'missed' | 'met' | 'met, and the aim';

/** By medians. */
export function verdictOf({ measured, must, aim, isAtLeast }: Goal): Verdict {
  if (measured === undefined) return 'not measured';
  const reaches = (goal: number) => (isAtLeast ? measured.median >= goal : measured.median <= goal);
  return reaches(aim) ? 'met, and the aim' : reaches(must) ? 'met' : 'missed';
}

export function goalsOf(results: Results): Goal[] {
  const tokens = (workload: string, peer: string, base: string) =>
    compared(results, [workload, peer, base], (run, of) => perTokenUs(run) / perTokenUs(of));
  const added = (peer: string, base: string) =>
    compared(results, [FIRST_TOKEN, peer, base], (run, of) => firstTokenMs(run) - firstTokenMs(of));
  const atMost = (
    figure: string,
    unit: string,
    [must, aim]: readonly [number, number],
    measured: Summary | undefined,
  ): Goal => ({
    ...{ figure, unit, must, aim, isAtLeast: false, measured },
  });
  const streams = results.streamsPerCore.find(({ peer }) => peer === 'mesh')?.streams;
  return [
    atMost(`one process, CPU per token, of ${BASE}'s (${PACED})`, '×', [2, 1.6], tokens(PACED, 'mesh', BASE)),
    atMost(`… of Portkey's on the same Node (${PACED})`, '×', [0.5, 0.4], tokens(PACED, 'mesh', 'portkey')),
    atMost(
      `… of LiteLLM's (${PACED_FEW}: more is too much for it)`,
      '×',
      [0.1, 0.05],
      tokens(PACED_FEW, 'mesh', 'litellm'),
    ),
    atMost(
      `gateway process and inference process, of ${BASE}'s (${PACED})`,
      '×',
      [3.2, 2.3],
      tokens(PACED, 'mesh-split', BASE),
    ),
    atMost(
      `facade, router and inference apart, of ${BASE}'s (${PACED})`,
      '×',
      [4.5, 3.5],
      tokens(PACED, 'mesh-apart', BASE),
    ),
    atMost(
      ...([`without streaming, CPU per request, of ${BASE}'s (${UNARY})`, '×'] as const),
      [4, 3],
      compared(results, [UNARY, 'mesh', BASE], (run, of) => perRequestUs(run) / perRequestUs(of)),
    ),
    atMost(`added time to first token, one process (${FIRST_TOKEN})`, 'ms', [0.25, 0.15], added('mesh', DIRECT)),
    atMost('… by the hop from gateway to inference', 'ms', [0.3, 0.15], added('mesh-split', 'mesh')),
    atMost('… by the hop from facade to router', 'ms', [0.3, 0.15], added('mesh-apart', 'mesh-split')),
    atMost(`transit p99, one process (${PACED})`, 'ms', [3, 1], over(results, PACED, 'mesh', transitP99Ms)),
    atMost(`peak memory, one process (${PACED})`, 'MB', [160, 110], over(results, PACED, 'mesh', peakMb)),
    {
      ...{
        figure: 'streams of 50 tokens/s on one core, no token late by more than 20 ms',
        unit: '',
        must: 600,
        aim: 800,
      },
      isAtLeast: true,
      measured: streams === undefined ? undefined : { median: streams, min: streams, max: streams },
    },
  ];
}

export function goalsTable(results: Results): string {
  const rows = goalsOf(results).map((goal) => {
    const { figure, unit, must, aim, isAtLeast, measured } = goal;
    const wanted = (value: number) => `${isAtLeast ? '≥' : '≤'} ${value}${unit && ` ${unit}`}`;
    const cell = measured === undefined ? '–' : unit === '' ? String(measured.median) : withRange(measured);
    const verdict = verdictOf(goal);
    return [figure, wanted(must), wanted(aim), cell, verdict === 'missed' ? '**missed**' : verdict];
  });
  return table(['figure', 'must', 'aim', 'measured', 'verdict'], rows);
}
