/**
 * How fast the shipped model answers through the mesh, beside node-llama-cpp's bare decode loop with the same file.
 * Usage: npm run bench:decode [-- --repetitions 5 --tokens 128 --model FILE]
 * Exit codes: 0 every goal reached, 1 a goal was missed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort, httpStatus, startChild, stopAllChildren, untilReady } from './harness/child.ts';
import { type DecodeRate, measureDecode } from './harness/decode-load.ts';
import { describeMachine } from './harness/machine.ts';
import { summarize } from './harness/statistics.ts';

const root = join(import.meta.dirname, '..');
const { PATH = '', HOME = '' } = process.env;
const environment = { PATH, HOME };
const STREAMS = 8;
/** Threads that spin hardly get on beside any other work; 128 tokens take well below a second. */
const BARE_LOOP_TIMEOUT_MS = 30_000;
const GOALS = { tokensPerSecond: 300, ofBareLoop: 0.85 };

const { values: options } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '128' },
    model: { type: 'string', default: join(root, 'models/demo/mesh-demo.gguf') },
  },
});
const tokens = Number(options.tokens);

/**
 * Tokens per second, 0 when it did not end in time. One process for each measurement, so that nothing of it shares the
 * processor with the mesh's.
 */
function measureBareLoop(threads: number): number {
  const program = join(root, 'bench/peers/bare-decode.ts');
  const args = ['bin/node.sh', program, resolve(options.model), options.tokens, String(threads)];
  const ended = spawnSync('sh', args, {
    cwd: root,
    env: environment,
    encoding: 'utf8',
    timeout: BARE_LOOP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  if (ended.status === 0) return Number(ended.stdout);
  if ((ended.error as NodeJS.ErrnoException | undefined)?.code !== 'ETIMEDOUT') throw new Error(ended.stderr);
  console.error(
    `The bare loop with ${threads || 'its own number of'} threads did not end in time; the other one counts.`,
  );
  return 0;
}

async function startMesh(directory: string): Promise<{ url: string; key: string }> {
  const port = await freePort();
  const flags = ['--port', String(port), '--data-dir', directory, '--model', resolve(options.model)];
  const command = ['sh', join(root, 'bin/node.sh'), join(root, 'services/main.ts'), ...flags];
  const child = startChild(command, { cwd: directory, environment });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, async () => (await httpStatus(`${url}/readyz`)) === 200);
  return { url, key: readFileSync(join(directory, 'admin.key'), 'utf8').trim() };
}

async function measure(directory: string): Promise<boolean> {
  const mesh = await startMesh(directory);
  const warmUp = { ...mesh, streams: 1, tokens };
  await measureDecode(warmUp);
  const one: DecodeRate[] = [];
  const eight: DecodeRate[] = [];
  const bare: number[] = [];
  for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
    // The better of the library's own number of threads and one: the harder baseline.
    bare.push(Math.max(measureBareLoop(0), measureBareLoop(1)));
    one.push(await measureDecode({ ...mesh, streams: 1, tokens }));
    eight.push(await measureDecode({ ...mesh, streams: STREAMS, tokens }));
  }
  return report(one, eight, bare);
}

function report(one: readonly DecodeRate[], eight: readonly DecodeRate[], bare: readonly number[]): boolean {
  const row = (name: string, values: readonly number[], digits: number) => {
    const { median, min, max } = summarize(values);
    console.log(`| ${name} | ${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)}) |`);
    return median;
  };
  const about = Object.entries(describeMachine()).map(([name, value]) => `${name} ${value}`);
  console.log(
    `${about.join(', ')}, ${options.repetitions} repetitions of ${tokens} tokens\n\n| figure | measured |\n| --- | --: |`,
  );
  const rates = (runs: readonly DecodeRate[]) => runs.map((run) => run.tokensPerSecond);
  row('bare decode loop, tokens/s', bare, 0);
  const single = row('mesh, 1 stream, tokens/s', rates(one), 0);
  const total = row(`mesh, ${STREAMS} streams, tokens/s in total`, rates(eight), 0);
  const share = row(
    'mesh, 1 stream, of the bare loop',
    rates(one).map((rate, i) => rate / (bare[i] ?? Number.NaN)),
    2,
  );
  row(
    'mesh, 1 stream, first token ms',
    one.map((run) => run.firstTokenP50Ms),
    1,
  );
  row(
    `mesh, ${STREAMS} streams, first token ms`,
    eight.map((run) => run.firstTokenP50Ms),
    1,
  );
  return single >= GOALS.tokensPerSecond && total > single && share >= GOALS.ofBareLoop;
}

const directory = mkdtempSync(join(tmpdir(), 'inference-mesh-decode-'));
try {
  if (!(await measure(directory))) process.exitCode = 1;
} finally {
  await stopAllChildren();
  rmSync(directory, { recursive: true });
}
