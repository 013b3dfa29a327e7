import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import pino from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { isRunning } from '../../../test/engines/processes.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import { type Booking, createDeviceBook, type DeviceBook, type PlacementRefusal } from './device-book.ts';
import { GPU_COLUMNS } from './nvidia-smi-text.ts';

vi.setConfig({ testTimeout: 120_000 });

const onLinux = test.runIf(process.platform === 'linux');
const RACER = join(import.meta.dirname, '../../../test/engines/device-racer.ts');
const ROUNDS = 100;
const GIB = 1024 ** 3;

let directory = '';
let claims = '';
let path = '';
const children: ChildProcess[] = [];
const engines: number[] = [];
const books: DeviceBook[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'several-meshes-'));
  claims = join(directory, 'claims');
  path = [join(directory, 'bin'), process.env.PATH].join(delimiter);
  mkdirSync(join(directory, 'bin'));
  driver({ usedMiB: 4, processes: '' });
});
afterEach(async () => {
  for (const book of books.splice(0)) await book.close();
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  for (const processId of engines.splice(0)) if (isRunning(processId)) process.kill(processId, 'SIGKILL');
  rmSync(directory, { recursive: true });
});

/** A driver with one GPU that answers at once: who is slow to hear it does not race. */
function driver({ usedMiB, processes }: { readonly usedMiB: number; readonly processes: string }): void {
  const row = `0, GPU-0, Some GPU, 81559, ${usedMiB}, [N/A], 00000000:01:00.0`;
  const script = `#!/bin/sh\ncase "$1" in --query-gpu=${GPU_COLUMNS}) echo '${row}';; *) echo '${processes}';; esac\n`;
  const program = join(directory, 'bin', 'nvidia-smi');
  writeFileSync(program, script);
  chmodSync(program, 0o755);
}

interface Answer {
  readonly booked?: string;
  readonly refused?: string;
  readonly processId?: number;
}

/** Another mesh process. */
function mesh(): { readonly child: ChildProcess; ask(command: 'book' | 'engine' | 'free'): Promise<Answer> } {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', RACER, path, claims], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const answers = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })[Symbol.asyncIterator]();
  return {
    child,
    async ask(command) {
      child.stdin?.write(`${command}\n`);
      return JSON.parse(String((await answers.next()).value)) as Answer;
    },
  };
}

/** A mesh in this process. */
function book(own: ReadonlyMap<number, string> = new Map()): DeviceBook {
  const variables: Readonly<Record<string, string>> = { PATH: path, MESH_DEVICE_CLAIMS_DIR: claims };
  const made = createDeviceBook({
    devices: 'auto',
    environmentVariable: (name) => variables[name],
    ownProcesses: () => own,
    log: pino({ level: 'silent' }),
  });
  books.push(made);
  return made;
}

async function booked(meshBook: DeviceBook, demand: DeviceDemand): Promise<Booking> {
  const answer = await meshBook.book('chat', demand);
  if ('refused' in answer) throw new Error(answer.why);
  return answer;
}

async function refused(meshBook: DeviceBook, demand: DeviceDemand): Promise<PlacementRefusal> {
  const answer = await meshBook.book('chat', demand);
  if (!('refused' in answer)) throw new Error(`booked ${answer.devices}`);
  return answer;
}

const wish = (gib: number, shares = false) => {
  const bytes = gib * GIB;
  return { count: 1, claim: { kind: 'bytes', bytes }, neededBytes: bytes, shares, fallsBackToCpu: false } as const;
};

onLinux('of two meshes that want the same device at the same moment exactly one gets it, every time', async () => {
  const meshes = [mesh(), mesh()];
  const wins = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const answers = await Promise.all(meshes.map(({ ask }) => ask('book')));
    expect(answers.filter(({ booked }) => booked !== undefined)).toHaveLength(1);
    const winner = answers.findIndex(({ booked }) => booked !== undefined);
    wins[winner] = (wins[winner] ?? 0) + 1;
    const processId = meshes[winner]?.child.pid;
    expect(answers[1 - winner]?.refused).toContain(`claimed by another mesh (process ${processId}), 1.0 GiB`);
    await meshes[winner]?.ask('free');
  }
  expect(readdirSync(claims)).toEqual([]);
});

onLinux('a killed mesh keeps its device until its engine is gone too', async () => {
  const killed = mesh();
  await killed.ask('book');
  const { processId = 0 } = await killed.ask('engine');
  engines.push(processId);
  killed.child.kill('SIGKILL');
  await once(killed.child, 'exit');
  const other = book();
  const { why } = await refused(other, wish(1));
  expect(why).toContain(
    `another mesh (process ${killed.child.pid}, which has ended and whose engine has not), 1.0 GiB`,
  );
  expect(isRunning(processId)).toBe(true);
  process.kill(processId, 'SIGKILL');
  await expect.poll(() => isRunning(processId)).toBe(false);
  await booked(other, wish(1));
  expect(readdirSync(claims).filter((name) => name.startsWith(`${killed.child.pid}-`))).toEqual([]);
});

onLinux('who waits for a device is told when another mesh releases it', async () => {
  const [one, other] = [book(), book()];
  const booking = await booked(one, wish(1));
  await refused(other, wish(1));
  let releases = 0;
  other.onRelease(() => {
    releases += 1;
  });
  await other.refresh();
  expect(releases).toBe(0);
  one.release(booking);
  await other.refresh();
  expect(releases).toBe(1);
});

onLinux('a mesh that is killed before it has an engine keeps nothing', async () => {
  const killed = mesh();
  const { booked: mark } = await killed.ask('book');
  expect(mark).toMatch(/^[0-9a-f]{32}$/);
  killed.child.kill('SIGKILL');
  await once(killed.child, 'exit');
  await booked(book(), wish(1));
});

onLinux('two contexts in one process are two meshes', async () => {
  const [one, other] = [book(), book()];
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all([one, other].map((each) => each.book('chat', wish(1))));
    const winners = answers.flatMap((answer, index) =>
      'refused' in answer ? [] : { answer, book: [one, other][index] },
    );
    expect(winners).toHaveLength(1);
    for (const { answer, book: winner } of winners) winner?.release(answer);
  }
  await booked(one, wish(1));
  await other.refresh();
  const { candidates } = other.explain(wish(1));
  expect(candidates.map(({ why }) => why)).toEqual([
    `claimed by another mesh (process ${process.pid}), 1.0 GiB, and share_devices is not set`,
  ]);
});

onLinux('meshes that share a device together never claim more than there is', async () => {
  const [one, other] = [book(), book()];
  await booked(one, wish(50, true));
  expect((await refused(other, wish(30, true))).why).toContain(
    `only 29.6 GiB are free (another mesh (process ${process.pid}) claims 50.0 GiB, others use 4 MiB)`,
  );
  expect((await refused(other, wish(1))).why).toContain('share_devices is not set');
  await booked(other, wish(29, true));
  // One that was not asked yet sees both.
  const { why } = await refused(book(), wish(1, true));
  for (const bytes of ['50.0 GiB', '29.0 GiB'])
    expect(why).toContain(`another mesh (process ${process.pid}) claims ${bytes}`);
});

onLinux('what an engine of another mesh uses is within what that claims', async () => {
  const own = new Map<number, string>();
  const [one, other] = [book(own), book()];
  const { mark } = await booked(one, wish(50, true));
  own.set(4_000_001, mark);
  driver({ usedMiB: 51_204, processes: '4000001, GPU-0, 51200' });
  await one.refresh();
  await booked(other, wish(29, true));
});

onLinux('where claims cannot be written there is no device, and the reason is told', async () => {
  writeFileSync(claims, 'no directory');
  const one = book();
  const { why, candidates } = await refused(one, wish(1));
  expect(why).toMatch(/claim cannot be told \(E.*set MESH_DEVICE_CLAIMS_DIR to a directory/);
  expect(candidates.map(({ device }) => device.excluded)).toEqual([expect.stringContaining('MESH_DEVICE_CLAIMS_DIR')]);
  expect(await one.book('chat', { ...wish(1), fallsBackToCpu: true })).toMatchObject({ devices: [] });
  rmSync(claims);
  await booked(one, wish(1));
});

test('a directory of claims that is no absolute path is refused', () => {
  claims = 'claims';
  expect(() => book()).toThrow('MESH_DEVICE_CLAIMS_DIR: expected an absolute path, got "claims"');
});
