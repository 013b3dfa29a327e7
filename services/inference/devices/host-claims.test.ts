import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { newMark } from '../supervisor/process-table.ts';
import { ForeignClaims } from './foreign-claims.ts';
import { type Claim, claimOf, type ForeignClaim } from './host-claims.ts';
import { OwnClaims } from './own-claims.ts';

const onLinux = test.runIf(process.platform === 'linux');

let parent = '';
let directory = '';
let logged: { level: number; msg: string }[] = [];
const made: OwnClaims[] = [];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'claims-'));
  directory = join(parent, 'claims');
  logged = [];
});
afterEach(() => {
  vi.useRealTimers();
  for (const claims of made.splice(0)) claims.close();
  rmSync(parent, { recursive: true });
});

interface Mesh {
  publish(claims: readonly Claim[]): void;
  look(): Promise<readonly ForeignClaim[]>;
}

function mesh(): Mesh {
  const log = pino({}, { write: (line: string) => logged.push(JSON.parse(line)) });
  const own = new OwnClaims(directory, log);
  made.push(own);
  const foreign = new ForeignClaims(directory, log, (mark) => own.has(mark));
  return { publish: (claims) => own.publish(claims), look: () => foreign.look() };
}

const claim = (gpus: Record<string, number>, processIds: number[] = []): Claim => ({
  mark: newMark(),
  shares: false,
  memory: gpus,
  processIds,
});

const asSeen = (one: Claim) => ({ ...one, ownerProcessId: process.pid, ownerHasEnded: false });

onLinux('others see what is published, and no more what is withdrawn', async () => {
  const [one, other] = [mesh(), mesh()];
  const [first, second] = [claim({ 'GPU-1': 5 }, [7, 8]), claim({ 'GPU-1': 6, 'GPU-2': 7 })];
  one.publish([first, second]);
  expect(await one.look()).toEqual([]);
  const seen = await other.look();
  expect(seen).toHaveLength(2);
  expect(seen).toEqual(expect.arrayContaining([asSeen(first), asSeen(second)]));
  const grown = { ...second, processIds: [9] };
  one.publish([grown]);
  expect(await other.look()).toEqual([asSeen(grown)]);
  one.publish([]);
  expect(await other.look()).toEqual([]);
  expect(readdirSync(directory)).toEqual([]);
});

onLinux('every user may add claims, and each can be read by all', () => {
  mesh().publish([claim({ 'GPU-1': 5 }, [7])]);
  expect(statSync(directory).mode & 0o7777).toBe(0o1777);
  for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o644);
});

onLinux('a claim is renewed, and written again when somebody removed it', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const one = mesh();
  const only = claim({ 'GPU-1': 5 }, [7]);
  one.publish([only]);
  const path = (): string => join(directory, readdirSync(directory).find((name) => name.endsWith('.json')) ?? '');
  utimesSync(path(), 1, 1);
  vi.advanceTimersByTime(15_000);
  expect(Date.now() - statSync(path()).mtimeMs).toBeLessThan(60_000);
  rmSync(directory, { recursive: true });
  vi.advanceTimersByTime(15_000);
  expect(await mesh().look()).toEqual([asSeen(only)]);
});

onLinux('a claim of another container counts while it is renewed', async () => {
  const one = mesh();
  one.publish([claim({ 'GPU-1': 5 })]);
  const [name = ''] = readdirSync(directory);
  const path = join(directory, name);
  const content = { ...JSON.parse(readFileSync(path, 'utf8')), pidNamespace: 'pid:[1]' };
  // Its process ids are others' here, or nobody's.
  const elsewhere = join(directory, name.replace(/^\d+/, '4999999'));
  writeFileSync(elsewhere, JSON.stringify(content));
  one.publish([]);
  expect(await one.look()).toMatchObject([{ ownerProcessId: 4_999_999, ownerHasEnded: false }]);
  const longAgo = Date.now() / 1_000 - 120;
  utimesSync(elsewhere, longAgo, longAgo);
  expect(await one.look()).toEqual([]);
});

onLinux('what is no claim is passed over and told once', async () => {
  const one = mesh();
  one.publish([claim({ 'GPU-1': 5 })]);
  const [name = ''] = readdirSync(directory);
  const like = (): string => join(directory, name.replace(/[0-9a-f]{32}/, newMark()));
  writeFileSync(like(), '{"shares":');
  writeFileSync(like(), '{}');
  symlinkSync(join(directory, name), like());
  execFileSync('mkfifo', [like()]);
  writeFileSync(join(directory, 'README'), 'hello');
  const other = mesh();
  expect(await other.look()).toHaveLength(1);
  expect(await other.look()).toHaveLength(1);
  expect(logged.map(({ level }) => level)).toEqual([40, 40, 40, 40]);
});

onLinux('what keeps a claim from being read keeps us from booking', async () => {
  const one = mesh();
  one.publish([claim({ 'GPU-1': 5 })]);
  const [name = ''] = readdirSync(directory);
  // A read can fail for many reasons; with a socket it always does.
  const server = createServer().listen(join(parent, 's'));
  await once(server, 'listening');
  const like = join(directory, name.replace(/[0-9a-f]{32}/, newMark()));
  renameSync(join(parent, 's'), like);
  await expect(mesh().look()).rejects.toThrow(/cannot be told \(ENXIO/);
  server.close();
  await once(server, 'close');
  rmSync(like);
  expect(await mesh().look()).toHaveLength(1);
});

test('the name of a file tells whose claim it is', () => {
  const mark = newMark();
  expect(claimOf(`12-0b5c-4d_77-${mark}.json`)).toEqual({ owner: { processId: 12, startTime: '0b5c-4d:77' }, mark });
  for (const name of ['', `${mark}.json`, `12-a_1-${mark}.json.new`, `12-a_1-${mark}.json.processes`, '12-a_1-77.json'])
    expect(claimOf(name)).toBeUndefined();
});
