import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';
import { PROMETHEUS_DIR } from './queries.ts';

/** Whether the machine has Prometheus. Where not, tests that need it are skipped; in CI that is an error. */
export function hasPrometheus(): boolean {
  const found = spawnSync('sh', ['-c', 'command -v prometheus promtool']).status === 0;
  if (!found && process.env.CI) throw new Error('prometheus is missing; CI must install it');
  if (!found) console.log('skipped: needs prometheus and promtool');
  return found;
}

/** A Prometheus of a test's own. */
export interface TestPrometheus {
  /** The result of an instant query; throws what Prometheus says against it. */
  query(expr: string): Promise<readonly Sample[]>;
  /** What it scrapes, by address: "" where the last scrape went well, else what was wrong. Undefined: not scraped yet. */
  problems(): Promise<ReadonlyMap<string, string | undefined>>;
  stop(): Promise<void>;
}

/** One series of a result. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const sampleSchema = z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) });
const resultSchema = z.object({ data: z.object({ result: z.array(sampleSchema) }) });
const targetsSchema = z.object({
  data: z.object({
    activeTargets: z.array(z.object({ scrapeUrl: z.string(), lastError: z.string(), health: z.string() })),
  }),
});
const configSchema = z.looseObject({
  global: z.looseObject({}),
  scrape_configs: z.tuple([z.looseObject({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) })]),
});

/** Starts one on the configuration that ships with the mesh, but for what it scrapes and how often. */
export async function startPrometheus(targets: readonly string[]): Promise<TestPrometheus> {
  const directory = mkdtempSync(join(tmpdir(), 'prometheus-'));
  const config = configSchema.parse(parse(readFileSync(join(PROMETHEUS_DIR, 'prometheus.yml'), 'utf8')));
  config.global = { scrape_interval: '1s', evaluation_interval: '1s' };
  config.scrape_configs[0].static_configs = [{ targets: [...targets] }];
  writeFileSync(join(directory, 'prometheus.yml'), stringify(config));
  writeFileSync(join(directory, 'alerts.yml'), readFileSync(join(PROMETHEUS_DIR, 'alerts.yml')));
  const port = await freePort();
  const flags = ['--config.file=prometheus.yml', '--storage.tsdb.path=data', `--web.listen-address=127.0.0.1:${port}`];
  const program: RunningProgram = startProgram('prometheus', flags, {}, directory);
  const get = async (path: string): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    if (!answer.ok) throw new Error(await answer.text());
    return await answer.json();
  };
  await eventually('Prometheus answers', async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok);
  return {
    async query(expr) {
      const answer = resultSchema.parse(await get(`/api/v1/query?query=${encodeURIComponent(expr)}`));
      return answer.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
    async problems() {
      const { data } = targetsSchema.parse(await get('/api/v1/targets?state=active'));
      return new Map(
        data.activeTargets.map(({ scrapeUrl, lastError, health }) => [
          new URL(scrapeUrl).host,
          health === 'unknown' ? undefined : lastError,
        ]),
      );
    },
    async stop() {
      await program.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
