import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isRunning } from '../../../test/engines/processes.ts';
import { createLeases, type EngineLease } from './leases.ts';
import { MARK_VARIABLE, startTimeOf } from './process-table.ts';

const onLinux = test.runIf(process.platform === 'linux');
const OWNER = join(import.meta.dirname, '../../../test/engines/lease-owner.ts');

let dataDir = '';
const children: ChildProcess[] = [];
const logged: { level: number; msg: string; engine?: string }[] = [];
const log = pino({}, { write: (line: string) => logged.push(JSON.parse(line)) });

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  logged.length = 0;
  rmSync(dataDir, { recursive: true });
});

/** A process that could be an engine: in a session of its own, under a mark. */
function engineWith(mark: string): EngineLease {
  const child = spawn('sleep', ['600'], {
    detached: true,
    env: { PATH: process.env.PATH, [MARK_VARIABLE]: mark },
    stdio: 'ignore',
  });
  children.push(child);
  const processId = child.pid ?? 0;
  const startTime = startTimeOf(processId) ?? '';
  return { engine: 'chat', mark, processId, startTime, ports: [20_001], devices: [0], memory: { 'GPU-1': 1_000 } };
}

const newMark = (): string => randomBytes(16).toString('hex');
const engines = (): string => join(dataDir, 'engines');

/** Puts leases where a mesh process would have that was started then. */
function leaveAs(owner: string, leases: readonly EngineLease[]): string {
  mkdirSync(join(engines(), owner), { recursive: true });
  for (const lease of leases) writeFileSync(join(engines(), owner, `${lease.mark}.json`), JSON.stringify(lease));
  return join(engines(), owner);
}

const thisBoot = (): string => startTimeOf(process.pid)?.split(':')[0] ?? '';

test('a lease is a private file until it is removed', () => {
  const leases = createLeases(dataDir);
  expect(existsSync(engines())).toBe(false);
  const start = { engine: 'chat', mark: newMark(), processId: 7, startTime: 'a:1' };
  const lease = { ...start, ports: [20_000], devices: [1], memory: { 'GPU-1': 5 } };
  leases.record({ ...lease, ports: [] });
  leases.record(lease);
  const [owner = ''] = readdirSync(engines());
  expect(owner.startsWith(`${process.pid}-`)).toBe(true);
  expect(readdirSync(join(engines(), owner))).toEqual([`${lease.mark}.json`]);
  const path = join(engines(), owner, `${lease.mark}.json`);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(lease);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(engines(), owner)).mode & 0o777).toBe(0o700);
  leases.remove(lease.mark);
  leases.remove(lease.mark);
  expect(readdirSync(engines())).toEqual([]);
});

test('without leases there is nothing to reconcile', async () => {
  expect(await createLeases(dataDir).reconcile(log)).toEqual([]);
});

onLinux('what a killed mesh has left is ended at the next start; what a living one runs is not', async () => {
  const owners = [spawnOwner(), spawnOwner()];
  const [killed, living] = await Promise.all(owners.map(engineOf));
  if (!killed || !living) throw new Error('no engines');
  owners[0]?.kill('SIGKILL');
  await once(owners[0] as ChildProcess, 'exit');
  expect([killed, living].map(({ processId }) => isRunning(processId))).toEqual([true, true]);

  const found = await createLeases(dataDir).reconcile(log);
  expect(found).toEqual([{ lease: killed }]);
  expect([killed, living].map(({ processId }) => isRunning(processId))).toEqual([false, true]);
  expect(readdirSync(engines())).toHaveLength(1);
  expect(logged).toMatchObject([{ level: 40, engine: 'chat' }]);
  expect(await createLeases(dataDir).reconcile(log)).toEqual([]);
  process.kill(living.processId, 'SIGKILL');
});

/** A mesh process with one engine and its lease, and without a guard. */
function spawnOwner(): ChildProcess {
  const child = spawn(process.execPath, [OWNER, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function engineOf(owner: ChildProcess): Promise<EngineLease> {
  const [line] = (await once(owner.stdout as NonNullable<typeof owner.stdout>, 'data')) as [Buffer];
  return JSON.parse(String(line)) as EngineLease;
}

onLinux('a process that has the number of an engine by now is left alone', async () => {
  const bystander = engineWith(newMark());
  const lease = { ...bystander, mark: newMark(), startTime: `${thisBoot()}:1` };
  const directory = leaveAs(`4999999-${thisBoot()}_1`, [lease]);
  expect(await createLeases(dataDir).reconcile(log)).toEqual([{ lease }]);
  expect(isRunning(bystander.processId)).toBe(true);
  expect(existsSync(directory)).toBe(false);
});

onLinux("an owner whose number is another's by now is gone, and one that is alive is not", async () => {
  const [gone, alive] = [engineWith(newMark()), engineWith(newMark())];
  leaveAs(`${process.pid}-${thisBoot()}_1`, [gone]);
  leaveAs(`${process.pid}-${startTimeOf(process.pid)?.replace(':', '_')}`, [alive]);
  expect(await createLeases(dataDir).reconcile(log)).toEqual([{ lease: gone }]);
  expect([gone, alive].map(({ processId }) => isRunning(processId))).toEqual([false, true]);
});

onLinux('leases of another boot are forgotten, nothing is looked for', async () => {
  const bystander = engineWith(newMark());
  const directory = leaveAs('4999999-another-boot_1', [bystander]);
  expect(await createLeases(dataDir).reconcile(log)).toEqual([]);
  expect(isRunning(bystander.processId)).toBe(true);
  expect(existsSync(directory)).toBe(false);
});

onLinux('what cannot be ended is told, and its lease stays for the next start', async () => {
  const lease = engineWith(newMark());
  const directory = leaveAs(`4999999-${thisBoot()}_1`, [lease]);
  const [found] = await createLeases(dataDir, 0).reconcile(log);
  expect(found).toMatchObject({ lease, survivors: { name: 'SurvivorsLeftError' } });
  expect(existsSync(directory)).toBe(true);
  expect(logged).toMatchObject([{ level: 50, engine: 'chat', devices: [0] }]);
  // It ends a little later all the same, which is seen without killing.
  await expect.poll(() => found?.survivors?.findLeft()).toBeUndefined();
  expect(isRunning(lease.processId)).toBe(false);
  expect(await createLeases(dataDir).reconcile(log)).toEqual([{ lease }]);
  expect(existsSync(directory)).toBe(false);
});

onLinux('a broken lease is told, and its engine found by the mark in its name', async () => {
  const lease = engineWith(newMark());
  const directory = leaveAs(`4999999-${thisBoot()}_1`, []);
  writeFileSync(join(directory, `${lease.mark}.json`), '{"engine":');
  writeFileSync(join(directory, `${lease.mark}.json.new`), '');
  await createLeases(dataDir).reconcile(log);
  expect(isRunning(lease.processId)).toBe(false);
  expect(existsSync(directory)).toBe(false);
  expect(logged.map(({ level }) => level)).toEqual([40, 40]);
});
