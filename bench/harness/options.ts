import { parseArgs } from 'node:util';
import { PEERS } from '../peers/all.ts';
import type { Peer } from '../peers/peer.ts';
import type { Extent } from './measure.ts';
import { readWorkload, type Workload } from './workloads.ts';

/** What can be measured. */
export const PARTS = ['workloads', 'leaving', 'streams-per-core', 'scale', 'start'] as const;
export type PartName = (typeof PARTS)[number];

/** What a run of the benchmark was asked for. */
export interface BenchOptions {
  readonly peers: readonly Peer[];
  readonly workloads: readonly Workload[];
  readonly parts: ReadonlySet<PartName>;
  readonly extent: Extent;
  readonly startupRuns: number;
  /** Whether docs/performance.md is to show this run. */
  readonly publish: boolean;
  /** A file of results that are to be shown instead of measuring. */
  readonly publishFrom: string | undefined;
}

const WORKLOADS = [
  ...['unary-c32', 'ttft-c1', 'paced-c8', 'paced-c32', 'paced-c256', 'lock-c256', 'idle-c2000'],
  ...['open-unary-r20', 'open-unary-r200', 'open-stream-r100'],
];
const QUICK = { seconds: 0.3, streamSeconds: 0.5, rampMs: 200, streams: 256, tokens: 15, tokenEveryMs: 20 };

/** Reads the command line; throws with the flag that is wrong. */
export function readOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      peers: { type: 'string', default: PEERS.map(({ name }) => name).join() },
      workloads: { type: 'string', default: WORKLOADS.join() },
      parts: { type: 'string', default: PARTS.join() },
      repetitions: { type: 'string' },
      'startup-runs': { type: 'string' },
      quick: { type: 'boolean', default: false },
      publish: { type: 'boolean', default: false },
      'publish-from': { type: 'string' },
    },
  });
  const isQuick = values.quick;
  const repetitions = wholeNumber('--repetitions', values.repetitions ?? (isQuick ? '1' : '3'));
  return {
    peers: chosen('--peers', values.peers, PEERS),
    workloads: values.workloads
      .split(',')
      .filter(Boolean)
      .map(readWorkload)
      .map(isQuick ? shortened : asItIs),
    parts: new Set(
      chosen(
        '--parts',
        values.parts,
        PARTS.map((name) => ({ name })),
      ).map(({ name }) => name),
    ),
    extent: { repetitions, warmUpRequests: isQuick ? 100 : 3_000, isQuick },
    startupRuns: wholeNumber('--startup-runs', values['startup-runs'] ?? (isQuick ? '1' : '3')),
    publish: values.publish,
    publishFrom: values['publish-from'],
  };
}

function chosen<T extends { readonly name: string }>(flag: string, text: string, all: readonly T[]): T[] {
  return text.split(',').map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`${flag}: no ${name}; there are ${all.map((one) => one.name).join()}`);
    return found;
  });
}

function wholeNumber(flag: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${flag}: expected a whole number from 1, got ${JSON.stringify(text)}`);
  return Number(text);
}

function asItIs(workload: Workload): Workload {
  return workload;
}

/** The same load for a short time: it shows that it runs, not what it costs. */
function shortened(workload: Workload): Workload {
  const { body, requests } = workload;
  if (!body.stream || requests === undefined) return { ...workload, seconds: QUICK.seconds };
  const max_tokens = Math.min(body.max_tokens, QUICK.tokens);
  const streams = Math.min(requests, QUICK.streams);
  const shape = { concurrency: Math.min(workload.concurrency, streams), requests: streams };
  const rampMs = Math.min(workload.rampMs, QUICK.rampMs);
  const seed = workload.kind === 'idle' ? 500 : QUICK.tokenEveryMs;
  return { ...workload, ...shape, rampMs, seconds: QUICK.streamSeconds, body: { ...body, max_tokens, seed } };
}
