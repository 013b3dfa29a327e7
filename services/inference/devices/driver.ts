import { runProgram } from '../supervisor/spawn.ts';
import { type DriverReading, NO_DEVICES } from './gpu-reading.ts';
import { GPU_COLUMNS, PROCESS_COLUMNS, parseGpus, parseProcesses, parseSlices } from './nvidia-smi-text.ts';

const PROGRAM = 'nvidia-smi';

/** Without its persistence daemon the driver needs a second or two per GPU to answer. */
const ANSWER_TIMEOUT_MS = 20_000;

const FORMAT = '--format=csv,noheader,nounits';

/** Asks the driver what devices there are and who uses them. Never rejects. */
export async function readDriver(
  environmentVariable: (name: string) => string | undefined,
  timeoutMs: number = ANSWER_TIMEOUT_MS,
): Promise<DriverReading> {
  const ask = (...args: string[]) => runProgram(PROGRAM, args, { timeoutMs, environmentVariable });
  const answer = await ask(`--query-gpu=${GPU_COLUMNS}`, FORMAT);
  if (answer.error?.code === 'ENOENT') return NO_DEVICES;
  const gpus = parseGpus(answer.stdout);
  if (gpus.length === 0) {
    // So it says, with whatever code, when it works and the machine has none.
    const isWhole = `${answer.stdout}${answer.stderr}`.includes('No devices were found');
    return { ...NO_DEVICES, isWhole, absent: false, problem: problemOf(answer, 'lists no device') };
  }
  const hasSlices = gpus.some(({ migMode }) => migMode);
  const [apps, list] = await Promise.all([
    ask(`--query-compute-apps=${PROCESS_COLUMNS}`, FORMAT),
    hasSlices ? ask('-L') : undefined,
  ]);
  const failed = [answer, apps, ...(list ? [list] : [])].find(({ code }) => code !== 0);
  return {
    gpus,
    isWhole: answer.code === 0,
    processes: parseProcesses(apps.stdout),
    slices: list ? parseSlices(list.stdout) : [],
    problem: failed && problemOf(failed, 'failed'),
    absent: false,
  };
}

function problemOf(answer: Awaited<ReturnType<typeof runProgram>>, otherwise: string): string {
  // The driver's own words are the most useful ones; nvidia-smi writes them to either output.
  const words = `${answer.stderr}\n${answer.stdout}`.split('\n').find((line) => line.trim() !== '');
  const how = answer.error ? answer.error.message : `it ended with code ${answer.code}`;
  return `${PROGRAM} ${otherwise}: ${how}${words === undefined ? '' : `: ${words.trim().slice(0, 300)}`}`;
}
