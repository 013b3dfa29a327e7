import type { Results } from '../harness/results.ts';
import {
  DIRECT,
  digits,
  type Figure,
  firstTokenMs,
  firstTokenP99Ms,
  latencyP99Ms,
  over,
  peakMb,
  perRequestUs,
  perTokenUs,
  table,
  transitP99Ms,
} from './figures.ts';
import { leavingOf } from './more-tables.ts';

const MESH = 'mesh';

/** Figures of which less is better. */
const LESS_IS_BETTER: readonly (readonly [workload: string, name: string, figure: Figure])[] = [
  ['unary-c32', 'CPU per request, µs', perRequestUs],
  ['unary-c32', 'latency p99, ms', latencyP99Ms],
  ['ttft-c1', 'first token p50, ms', firstTokenMs],
  ['paced-c32', 'CPU per token, µs', perTokenUs],
  ['paced-c256', 'CPU per token, µs', perTokenUs],
  ['paced-c256', 'first token p99, ms', firstTokenP99Ms],
  ['paced-c256', 'transit p99, ms', transitP99Ms],
  ['paced-c256', 'peak memory, MB', peakMb],
  ['lock-c256', 'CPU per token, µs', perTokenUs],
  ['idle-c2000', 'peak memory, MB', peakMb],
  ['open-unary-r200', 'latency p99, ms', latencyP99Ms],
  ['open-stream-r100', 'first token p99, ms', firstTokenP99Ms],
  ['open-stream-r100', 'transit p99, ms', transitP99Ms],
];

interface Compared {
  readonly name: string;
  /** By peer; a peer that was not measured is not there. */
  readonly values: ReadonlyMap<string, number>;
  readonly isMoreBetter: boolean;
}

/** In what each other gateway is better than the mesh in one process, by medians and whatever the reason: a line each, and the figures. */
export function whereOthersWin(results: Results): string {
  const peers = [...new Set(results.measurements.map(({ peer }) => peer))].filter((peer) => peer !== DIRECT);
  const others = peers.filter((peer) => !peer.startsWith(MESH));
  const figures = comparedOf(results, [MESH, ...others]).filter(({ values }) => values.has(MESH) && values.size > 1);
  const lines = others.map((peer) => {
    const both = figures.filter(({ values }) => values.has(peer));
    const wins = both.filter((one) => isWin(one, peer));
    return `- **${peer}** wins ${wins.length === 0 ? 'none' : wins.length} of the ${both.length} figures that both have.`;
  });
  const rows = figures.map((one) => [
    one.name,
    ...[MESH, ...others].map((peer) => {
      const value = one.values.get(peer);
      if (value === undefined) return '–';
      return isWin(one, peer) ? `**${told(value)}**` : told(value);
    }),
  ]);
  return `${lines.join('\n')}\n\nBold: better than the mesh.\n\n${table(['figure', MESH, ...others], rows)}`;
}

function isWin({ values, isMoreBetter }: Compared, peer: string): boolean {
  const [other, own] = [values.get(peer), values.get(MESH)];
  if (peer === MESH || other === undefined || own === undefined) return false;
  return isMoreBetter ? other > own : other < own;
}

function told(value: number): string {
  return value === Number.POSITIVE_INFINITY ? 'never' : Number.isInteger(value) ? String(value) : digits(value);
}

function comparedOf(results: Results, peers: readonly string[]): Compared[] {
  const byPeer = (value: (peer: string) => number | undefined) =>
    new Map(
      peers.flatMap((peer): [string, number][] => {
        const one = value(peer);
        return one === undefined ? [] : [[peer, one]];
      }),
    );
  const left = leavingOf(results);
  return [
    ...LESS_IS_BETTER.map(([workload, name, figure]) => ({
      name: `\`${workload}\`: ${name}`,
      values: byPeer((peer) => over(results, workload, peer, figure)?.median),
      isMoreBetter: false,
    })),
    {
      name: 'engine idle after its client left, median ms',
      values: byPeer((peer) => {
        const one = left.find((summary) => summary.peer === peer);
        return one && (one.times?.medianMs ?? Number.POSITIVE_INFINITY);
      }),
      isMoreBetter: false,
    },
    {
      name: 'streams of 50 tokens/s on one core, no token late by more than 20 ms',
      values: byPeer((peer) => results.streamsPerCore.find((one) => one.peer === peer)?.streams),
      isMoreBetter: true,
    },
  ];
}
