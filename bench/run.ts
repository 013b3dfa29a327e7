/**
 * Measures the mesh beside other gateways in one interleaved run; see bench/README.md.
 * Usage: npm run bench [-- --quick] [--peers a,b] [--workloads a,b] [--parts a,b] [--repetitions 3] [--startup-runs 3] [--publish]
 *        npm run bench -- --publish-from bench/results/<time>/results.json
 * Exit codes: 0 measured, 1 some requests failed or a peer broke, 78 the machine lacks something.
 */
import { join } from 'node:path';
import { stopAllChildren } from './harness/child.ts';
import { describeMachine } from './harness/machine.ts';
import { missingRequirements } from './harness/native.ts';
import { type BenchOptions, type PartName, readOptions } from './harness/options.ts';
import { errorsOf, type Results, readResults, writeResults } from './harness/results.ts';
import { environment, onStage, type Stage } from './harness/stage.ts';
import { measureStartup } from './harness/startup.ts';
import { measureGateways, NO_GATEWAYS, OF_GATEWAYS } from './parts/gateways.ts';
import { measureScale } from './parts/scale.ts';
import { availablePeers } from './peers/all.ts';
import { publish } from './report/publish.ts';
import { writeReport } from './report/report.ts';

const interruption = new AbortController();

async function main(options: BenchOptions): Promise<number> {
  if (options.publishFrom !== undefined) {
    publish(readResults(options.publishFrom));
    return 0;
  }
  const lacks = missingRequirements({});
  if (lacks.length > 0) {
    console.error(`The benchmark needs:\n${lacks.map((line) => `  ${line}`).join('\n')}`);
    return 78;
  }
  const results = await measure(options);
  const directory = join(import.meta.dirname, 'results', new Date().toISOString().replaceAll(':', '-'));
  writeResults(join(directory, 'results.json'), results);
  console.log(writeReport(results, directory));
  console.error(`\nAll figures, tables and plots: ${directory}`);
  if (options.publish) publish(results);
  return errorsOf(results) > 0 || Object.keys(results.failed).length > 0 ? 1 : 0;
}

async function measure(options: BenchOptions): Promise<Results> {
  const startedMs = performance.now();
  const { extent, parts, workloads } = options;
  const usesGateways = OF_GATEWAYS.some((part) => parts.has(part));
  const { peers, missing } = availablePeers(usesGateways ? options.peers : []);
  const machine = describeMachine();
  const tell = (what: string) => console.error(`${((performance.now() - startedMs) / 60_000).toFixed(1)} min: ${what}`);
  const gateways = usesGateways
    ? await onStage(interruption.signal, (stage) => measureGateways(stage, { ...options, peers }, tell))
    : NO_GATEWAYS;
  const failed: Record<string, string> = {};
  // What was measured before must not be lost with a part that breaks.
  const attempt = async <T>(part: PartName, act: (stage: Stage) => Promise<T>): Promise<T | undefined> => {
    if (!parts.has(part)) return undefined;
    try {
      return await onStage(interruption.signal, act);
    } catch (error) {
      if (interruption.signal.aborted) throw error;
      console.error(error);
      failed[part] = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
      return undefined;
    }
  };
  const scale = await attempt('scale', (stage) => measureScale(stage, extent, (what) => tell(`scale: ${what}`)));
  const startup = await attempt('start', ({ scratch }) => measureStartup(scratch, options.startupRuns, environment));
  return {
    ...{ machine, minutes: (performance.now() - startedMs) / 60_000, ...extent },
    versions: Object.fromEntries(peers.flatMap(({ name, version }) => (version ? [[name, version()]] : []))),
    ...{ missing, failed, workloads, ...gateways, scale, startup },
  };
}

// Ending the children makes whatever waits for them fail, so the run unwinds through its own clean-up.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interruption.abort(new Error(`interrupted by ${signal}`));
    stopAllChildren();
  });
}

try {
  process.exitCode = await main(readOptions(process.argv.slice(2)));
} catch (error) {
  console.error(interruption.signal.aborted ? interruption.signal.reason.message : error);
  process.exitCode = 1;
}
