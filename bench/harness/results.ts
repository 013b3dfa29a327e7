import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LeavingFigures } from '../parts/leaving.ts';
import type { ScaleFigures } from '../parts/scale.ts';
import type { StreamsPerCore } from '../parts/streams-per-core.ts';
import type { Machine } from './machine.ts';
import type { Measurement } from './measure.ts';
import type { StartupFigures } from './startup.ts';
import type { Workload } from './workloads.ts';

/** Resident memory of a peer after its start, before any request. */
export interface IdleMemory {
  readonly peer: string;
  readonly rssBytes: number;
}

/** All single figures of one run, from which every table, plot and sentence is made. */
export interface Results {
  readonly machine: Machine;
  readonly minutes: number;
  readonly repetitions: number;
  /** A smoke run, whose figures mean nothing. */
  readonly isQuick: boolean;
  /** Version by peer, of those that were measured. */
  readonly versions: Readonly<Record<string, string>>;
  /** What the machine lacks for the peers that were not. */
  readonly missing: Readonly<Record<string, string>>;
  /** Parts that broke, and why. */
  readonly failed: Readonly<Record<string, string>>;
  /** Which peers a workload was too much for. */
  readonly beyond: Readonly<Record<string, readonly string[]>>;
  readonly workloads: readonly Workload[];
  readonly measurements: readonly Measurement[];
  readonly idle: readonly IdleMemory[];
  readonly leaving: readonly LeavingFigures[];
  readonly streamsPerCore: readonly StreamsPerCore[];
  readonly scale?: ScaleFigures | undefined;
  readonly startup?: StartupFigures | undefined;
}

/** How many requests of a run went wrong, in all parts whose figures errors would spoil. */
export function errorsOf({ measurements, leaving, scale }: Results): number {
  const points = scale?.curves.flatMap((curve) => curve.points) ?? [];
  const all = [...measurements.map(({ load }) => load.errors), ...leaving.map((one) => one.errors)];
  const sum = [...all, ...points.map((point) => point.errors), scale?.memory.errors ?? 0];
  return sum.reduce((total, errors) => total + errors, 0);
}

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}

export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, 'utf8')) as Results;
}
