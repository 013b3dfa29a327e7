import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Bench, type Extent, measureInterleaved, warmUp } from '../harness/measure.ts';
import { cpuBetween, readTreeUsage } from '../harness/process-tree.ts';
import type { Stage } from '../harness/stage.ts';
import { readWorkload, type Workload } from '../harness/workloads.ts';
import { mesh, meshWith, openAiEntry } from '../peers/mesh.ts';
import { nginx } from '../peers/nginx.ts';
import type { Peer, RunningPeer } from '../peers/peer.ts';
import type { CurvePoint } from './curve.ts';
import { makeKnownKeys } from './known-keys.ts';

export const KEY_COUNTS = [10, 10_000, 1_000_000];
export const ENGINE_COUNTS = [1, 30, 1_000];
export const WORKER_COUNTS = [1, 2];
const KEYS_USED = 10_000;
const IDLE_MS = 5_000;

/** What a mesh costs while nobody asks it anything, in CPU milliseconds per second: with many engines, their probes. */
export interface IdleCost {
  readonly x: number;
  readonly cpuMsPerSecond: number;
}

/** CPU per request with so many keys in the store, of which up to 10,000 are used in turn. */
export async function keyPoints(stage: Stage, extent: Extent): Promise<CurvePoint[]> {
  const counts = extent.isQuick ? KEY_COUNTS.slice(0, 2) : KEY_COUNTS;
  const peers = new Map<string, RunningPeer>();
  for (const known of counts) {
    const used = Math.min(known, KEYS_USED);
    const filled = join(stage.scratch, `keys-${known}`);
    const { secrets, pepperFile } = makeKnownKeys(join(filled, 'data'), known, used);
    const inPlace: Peer = { ...mesh, start: (context) => mesh.start({ ...context, directory: filled }) };
    peers.set(nameOf(mesh, known), {
      ...(await stage.start(inPlace, { MESH_PEPPER_FILE: pepperFile })),
      keys: secrets,
    });
  }
  const bench = await besideNginx(stage, peers);
  const requests = extent.isQuick ? 500 : KEYS_USED;
  // Every key that is used has been used once before: what is measured is a mesh that runs, not one that starts.
  await warmUp(bench, requests);
  const unary = { ...readWorkload('unary-c32'), requests, seconds: 60 };
  return pointsOf(bench, unary, extent.repetitions);
}

/** CPU per request with so many engines attached. One of them takes the requests, all of them are probed. */
export async function enginePoints(
  stage: Stage,
  extent: Extent,
): Promise<{ readonly points: CurvePoint[]; readonly idle: IdleCost[] }> {
  const peers = new Map<string, RunningPeer>();
  const idle: IdleCost[] = [];
  for (const count of ENGINE_COUNTS) {
    const others = Array.from({ length: count - 1 }, (_, n) => openAiEntry(`engine-${n}`, 'mock', stage.enginePort));
    const models = [openAiEntry('mock', 'mock', stage.enginePort), ...others];
    const peer = await stage.start(meshWith(`mesh-${count}`, { inference: { models } }, ['mock']));
    peers.set(nameOf(mesh, count), peer);
    await delay(extent.isQuick ? 500 : IDLE_MS);
    const [before, fromMs] = [readTreeUsage(peer.child?.pid), performance.now()];
    await delay(extent.isQuick ? 1_000 : IDLE_MS);
    const cpuMs = cpuBetween(before, readTreeUsage(peer.child?.pid)) / 1e6;
    idle.push({ x: count, cpuMsPerSecond: cpuMs / ((performance.now() - fromMs) / 1e3) });
  }
  const bench = await besideNginx(stage, peers);
  const unary = readWorkload('unary-c32');
  await pointsOf(bench, { ...unary, requests: extent.warmUpRequests, seconds: 60 }, 1);
  return { points: await pointsOf(bench, unary, extent.repetitions), idle };
}

/** CPU per request and per token with so many gateway workers, all on the same CPU: what they cost, not what they gain. */
export async function workerPoints(
  stage: Stage,
  extent: Extent,
): Promise<{ readonly requests: CurvePoint[]; readonly tokens: CurvePoint[] }> {
  const peers = new Map<string, RunningPeer>();
  for (const count of WORKER_COUNTS) {
    peers.set(nameOf(mesh, count), await stage.start(mesh, count > 1 ? { MESH_WORKERS: String(count) } : {}));
  }
  const bench = await besideNginx(stage, peers);
  await warmUp(bench, extent.warmUpRequests);
  return {
    requests: await pointsOf(bench, readWorkload('unary-c32'), extent.repetitions),
    tokens: await pointsOf(bench, readWorkload('paced-c256'), extent.repetitions),
  };
}

/** The peers of a curve are gateways that differ in one number, which is in their name. */
function nameOf({ name }: Peer, x: number): string {
  return `${name} ${x}`;
}

/** nginx after each of the meshes: it knows neither keys nor engines, so its points show what the machine does meanwhile. */
async function besideNginx(stage: Stage, meshes: ReadonlyMap<string, RunningPeer>): Promise<Bench> {
  if (nginx.missing?.() !== undefined) return stage.benchOf(meshes);
  const running = await stage.start(nginx);
  const peers = [...meshes].flatMap(([name, peer]): [string, RunningPeer][] => [
    [name, peer],
    [name.replace(mesh.name, nginx.name), running],
  ]);
  return stage.benchOf(new Map(peers));
}

async function pointsOf(bench: Bench, workload: Workload, repetitions: number): Promise<CurvePoint[]> {
  const measured = await measureInterleaved(bench, [workload], repetitions, () => {});
  return measured.map(({ peer, repetition, load, cpuUs }) => {
    const [name = '', x] = peer.split(' ');
    const units = workload.body.stream ? load.tokens : load.requests;
    return { peer: name, repetition, x: Number(x), errors: load.errors, y: cpuUs / units };
  });
}
