import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorsOf, type Results } from '../harness/results.ts';
import { drawPlots } from './plots.ts';
import { reportOf } from './report.ts';

const docs = join(import.meta.dirname, '..', '..', 'docs');
const images = join(docs, 'performance');

const INTRODUCTION = `# Performance

What the mesh costs beside other gateways, measured in one run on one machine. **This page is written by \`npm run bench -- --publish\`**, every
figure and every sentence about figures from the results of that run; [bench/README.md](../bench/README.md) says how they are measured, and what
every peer and workload is. Ratios are what carries over to another machine; differences below about 20 % are none.

The mesh has everything on that is on by default: key check, exact quota with limits that count for every request, routing, metrics, log files, SQLite,
and one request in ten is traced, to a receiver that forgets it; in the curves traces are off, as they are by default. nginx, haproxy and \`node-proxy\` compare one static token and keep no accounts. Portkey checks no key and keeps none. LiteLLM checks its master key and, without a
database, keeps none.
`;

/** Makes docs/performance.md and its plots from the results of a run. */
export function publish(results: Results): void {
  const plots = drawPlots(results);
  mkdirSync(images, { recursive: true });
  for (const old of readdirSync(images)) rmSync(join(images, old));
  for (const [name, svg] of Object.entries(plots)) writeFileSync(join(images, `${name}.svg`), svg);
  const errors = errorsOf(results);
  const warning =
    errors === 0 ? '' : `\n**${errors} requests failed in this run: figures beside errors mean nothing.**\n`;
  const file = join(docs, 'performance.md');
  writeFileSync(file, `${INTRODUCTION}${warning}\n${reportOf(results, { plots, imageDirectory: 'performance' })}`);
  console.error(`Published: ${file}`);
}
