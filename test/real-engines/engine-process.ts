// What Linux and the engine itself tell about the process of an engine, past the mesh.
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { processesWithMark } from '../../services/inference/supervisor/process-table.ts';

const partsOf = (processId: number, file: string): string[] =>
  readFileSync(`/proc/${processId}/${file}`, 'utf8').split('\0');

/** All processes of the start of an engine, its own first. */
export async function familyOf(processId: number): Promise<number[]> {
  const mark = environmentOf(processId).MESH_ENGINE_MARK ?? '';
  const others = (await processesWithMark(mark)).filter((other) => other !== processId);
  return [processId, ...others];
}

/** Those of some processes whose command line matches. */
export function withCommand(processIds: readonly number[], pattern: RegExp): number[] {
  return processIds.filter((processId) => {
    try {
      return pattern.test(partsOf(processId, 'cmdline').join(' '));
    } catch {
      return false;
    }
  });
}

/** The processes below one, itself aside. */
export function descendantsOf(processId: number): number[] {
  const children = Map.groupBy(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number),
    (one) => Number(statOf(one)?.[1] ?? 0),
  );
  const below = (parent: number): number[] => (children.get(parent) ?? []).flatMap((one) => [one, ...below(one)]);
  return below(processId);
}

/** The processor time that processes have used, in milliseconds; what has ended does not count. */
export function processorMs(processIds: readonly number[]): number {
  const TICK_MS = 10;
  // After the name come the state, the parent …; user and system time are the 14th and 15th of the whole line.
  return processIds.reduce((sum, one) => {
    const fields = statOf(one);
    return sum + (Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0)) * TICK_MS;
  }, 0);
}

/** Calls a route of the engine where it listens and with the key that it was started with. */
export function askEngine(processId: number, path: string): Promise<string> {
  const command = partsOf(processId, 'cmdline');
  const after = (flag: string): string | undefined =>
    command.includes(flag) ? command[command.indexOf(flag) + 1] : undefined;
  const socketPath = after('--uds') ?? after('--host');
  const { LLAMA_API_KEY, VLLM_API_KEY } = environmentOf(processId);
  const headers = { authorization: `Bearer ${LLAMA_API_KEY ?? VLLM_API_KEY ?? ''}` };
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () => resolve(body)).on('error', reject);
    });
    asked.on('error', reject).end();
  });
}

/** The sum of a metric over its labels. */
export async function metricOf(processId: number, name: string): Promise<number> {
  const lines = (await askEngine(processId, '/metrics'))
    .split('\n')
    .filter((line) => /^[^#\s{]+/.exec(line)?.[0] === name);
  if (lines.length === 0) throw new Error(`the engine has no metric ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

function environmentOf(processId: number): Record<string, string | undefined> {
  return Object.fromEntries(
    partsOf(processId, 'environ').map((pair) => [pair.split('=', 1)[0], pair.slice(pair.indexOf('=') + 1)]),
  );
}

/** The fields after the name, the state first. Undefined: it has ended. */
function statOf(processId: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${processId}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
