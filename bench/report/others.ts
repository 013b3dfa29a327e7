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
  transitP99Ms,
} from './figures.ts';
import { leavingOf } from './more-tables.ts';

const MESH = 'mesh';

/** Figures of which less is better. */
const COMPARED: readonly (readonly [workload: string, name: string, figure: Figure, unit: string])[] = [
  ['unary-c32', 'CPU per request', perRequestUs, 'µs'],
  ['unary-c32', 'latency p99', latencyP99Ms, 'ms'],
  ['ttft-c1', 'first token p50', firstTokenMs, 'ms'],
  ['paced-c32', 'CPU per token', perTokenUs, 'µs'],
  ['paced-c256', 'CPU per token', perTokenUs, 'µs'],
  ['paced-c256', 'first token p99', firstTokenP99Ms, 'ms'],
  ['paced-c256', 'transit p99', transitP99Ms, 'ms'],
  ['paced-c256', 'peak memory', peakMb, 'MB'],
  ['lock-c256', 'CPU per token', perTokenUs, 'µs'],
  ['idle-c2000', 'peak memory', peakMb, 'MB'],
  ['open-unary-r200', 'latency p99', latencyP99Ms, 'ms'],
  ['open-stream-r100', 'first token p99', firstTokenP99Ms, 'ms'],
  ['open-stream-r100', 'transit p99', transitP99Ms, 'ms'],
];

/** A line for each other gateway: in what it is better than the mesh in one process, by medians, whatever the reason; and in what it is not. */
export function whereOthersWin(results: Results): string {
  const peers = [...new Set(results.measurements.map(({ peer }) => peer))];
  const others = peers.filter((peer) => peer !== DIRECT && !peer.startsWith(MESH));
  return others.map((peer) => lineOf(results, peer)).join('\n');
}

function lineOf(results: Results, peer: string): string {
  const wins: string[] = [];
  let losses = 0;
  const compare = (name: string, other: number | undefined, own: number | undefined, unit: string) => {
    if (other === undefined || own === undefined) return;
    if (other < own) wins.push(`${name} ${digits(other)} ${unit} against ${digits(own)}`);
    else losses += 1;
  };
  for (const [workload, name, figure, unit] of COMPARED) {
    const [other, own] = [peer, MESH].map((one) => over(results, workload, one, figure)?.median);
    compare(`\`${workload}\` ${name}`, other, own, unit);
  }
  const left = leavingOf(results);
  const [other, own] = [peer, MESH].map((name) => left.find((one) => one.peer === name));
  if (other?.never === 0)
    compare('engine idle after its client left, median', other.times?.medianMs, own?.times?.medianMs, 'ms');
  else if (other !== undefined) losses += 1;
  const perCore = [peer, MESH].map((name) => results.streamsPerCore.find((one) => one.peer === name)?.streams);
  const [theirs, ours] = perCore;
  if (theirs !== undefined && ours !== undefined) {
    if (theirs > ours) wins.push(`streams on one core ${theirs} against ${ours}`);
    else losses += 1;
  }
  const sum = `${wins.length} of ${wins.length + losses} figures compared`;
  return wins.length === 0
    ? `- **${peer}** wins none of the ${losses} figures compared.`
    : `- **${peer}** wins ${sum}: ${wins.join('; ')}.`;
}
