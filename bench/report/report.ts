import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Results } from '../harness/results.ts';
import { goalsTable } from './goals.ts';
import {
  BEND_RULE,
  curveTable,
  idleCostTable,
  idleMemoryTable,
  leavingTable,
  memorySentence,
  startupTable,
  streamsPerCoreTable,
} from './more-tables.ts';
import { whereOthersWin } from './others.ts';
import { drawPlots, type Plots } from './plots.ts';
import { workloadTable } from './tables.ts';

/** Runnable processes over a minute above which the machine had something else to do. */
const BUSY = 0.7;

/** Writes tables and plots beside the results and returns the tables. */
export function writeReport(results: Results, directory: string): string {
  const plots = drawPlots(results);
  const text = reportOf(results, { plots, imageDirectory: '.' });
  for (const [name, svg] of Object.entries(plots)) writeFileSync(join(directory, `${name}.svg`), svg);
  writeFileSync(join(directory, 'report.md'), text);
  return text;
}

/** Everything that was measured, in Markdown. `imageDirectory` is where the plots lie, as seen from the text. */
export function reportOf(
  results: Results,
  { plots, imageDirectory }: { readonly plots: Plots; readonly imageDirectory: string },
): string {
  const { measurements, leaving, streamsPerCore, scale, idle, startup } = results;
  const image = (name: string, what: string) => (name in plots ? `![${what}](${imageDirectory}/${name}.svg)` : '');
  const sections = [
    `## The run\n\n${aboutRun(results)}`,
    `## Goals\n\nMedians count; ratios are taken within each repetition.\n\n${goalsTable(results)}`,
    measurements.length > 0 &&
      `## Where others win\n\nBy medians, against the mesh in one process.\n\n${whereOthersWin(results)}`,
    measurements.length > 0 &&
      [
        '## Cost and latency',
        image('cpu-per-token', 'CPU per token, 256 streams'),
        image('cpu-per-token-c32', 'CPU per token, 32 streams'),
        image('cpu-per-request', 'CPU per request'),
        image('transit-p99', 'Transit p99'),
        image('peak-memory', 'Peak memory'),
        ...results.workloads.map((workload) => workloadTable(workload, results)),
      ].join('\n\n'),
    streamsPerCore.length > 0 &&
      `## Streams on one core\n\n${image('streams-per-core', 'Streams on one core')}\n\n${streamsPerCoreTable(results)}`,
    leaving.length > 0 &&
      `## A client leaves: until its engine is idle\n\n${image('engine-idle', 'Engine idle')}\n\n${leavingTable(results)}\n\n"never": the engine went on to the end of its answer, for nobody.`,
    scale &&
      [
        '## Scale',
        BEND_RULE,
        ...scale.curves.map(
          (curve) => `### ${curve.title}\n\n${image(`scale-${curve.name}`, curve.title)}\n\n${curveTable(curve)}`,
        ),
        `What attached engines cost while nothing is asked of them (probes and all else):\n\n${idleCostTable(results)}`,
        `### Memory\n\n${image('scale-memory', 'Memory over requests')}\n\n${memorySentence(results)}`,
      ].join('\n\n'),
    idle.length > 0 && `## Idle memory\n\n${idleMemoryTable(results)}`,
    startup && `## Start\n\n${startupTable(results)}`,
  ];
  return `${sections
    .filter(Boolean)
    .join('\n\n')
    .replaceAll(/\n{3,}/g, '\n\n')}\n`;
}

function aboutRun({ machine, minutes, repetitions, versions, missing, failed, isQuick }: Results): string {
  const peers = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    `${machine.date}, commit ${machine.commit}: ${machine.cpu}, ${machine.memoryGib} GiB, Linux ${machine.kernel}, Node ${machine.node}.`,
    `${peers.join(', ')}.`,
    `${repetitions} ${repetitions === 1 ? 'repetition' : 'repetitions'}, ${minutes.toFixed(0)} minutes; load of the machine before the run ${machine.loadBefore.toFixed(1)}.`,
  ];
  if (isQuick) lines.push('**A smoke run: its figures mean nothing.**');
  if (machine.loadBefore > BUSY)
    lines.push('**Other work ran on the machine: figures are worse than they would be without it.**');
  const left = Object.entries(missing).map(([name, why]) => `${name} (${why})`);
  if (left.length > 0) lines.push(`Not measured, because the machine lacks something: ${left.join(', ')}.`);
  for (const [part, why] of Object.entries(failed)) lines.push(`**The part "${part}" broke: ${why}**`);
  return lines.join(' ');
}
