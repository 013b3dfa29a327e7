import { type Extent, warmUp } from '../harness/measure.ts';
import type { Stage } from '../harness/stage.ts';
import { mesh } from '../peers/mesh.ts';
import { nginx } from '../peers/nginx.ts';
import type { RunningPeer } from '../peers/peer.ts';
import type { Curve } from './curve.ts';
import { type MemoryOverTime, memoryOverRequests } from './memory.ts';
import { enginePoints, type IdleCost, keyPoints, workerPoints } from './scale-requests.ts';
import { QUICK_SPAN, streamPoints, WHOLE_SPAN } from './scale-streams.ts';

/** What the mesh costs as what it serves grows. */
export interface ScaleFigures {
  readonly curves: readonly Curve[];
  /** Of the curve of engines. */
  readonly idle: readonly IdleCost[];
  readonly memory: MemoryOverTime;
}

const PER_TOKEN = 'CPU µs per token';
const PER_REQUEST = 'CPU µs per request';

/** Measures all curves, one after the other, each on a fresh mesh. `tell` hears what comes next. */
export async function measureScale(stage: Stage, extent: Extent, tell: (what: string) => void): Promise<ScaleFigures> {
  const { isQuick } = extent;
  const peers = new Map<string, RunningPeer>([[mesh.name, await stage.start(mesh)]]);
  if (nginx.missing?.() === undefined) peers.set(nginx.name, await stage.start(nginx));
  const bench = stage.benchOf(peers);
  await warmUp(bench, extent.warmUpRequests);
  tell('memory');
  const memory = await memoryOverRequests(bench, mesh.name, isQuick ? 1_000 : 10_000);
  const streams = [];
  for (let repetition = 1; repetition <= extent.repetitions; repetition++) {
    tell(`streams ${repetition}`);
    streams.push(...(await streamPoints(bench, isQuick ? QUICK_SPAN : WHOLE_SPAN, repetition)));
  }
  await stage.clear();
  tell('keys');
  const keys = await keyPoints(stage, extent);
  await stage.clear();
  tell('engines');
  const engines = await enginePoints(stage, extent);
  await stage.clear();
  tell('workers');
  const workers = await workerPoints(stage, extent);
  await stage.clear();
  const curve = (name: string, title: string, xTitle: string, yTitle: string, points: Curve['points']): Curve => ({
    ...{ name, title, xTitle, yTitle, points },
  });
  const curves = [
    curve('streams', 'Streams that run at once, 10 tokens a second each', 'streams', PER_TOKEN, streams),
    curve('keys', 'Keys that the store knows, up to 10,000 of them used', 'keys', PER_REQUEST, keys),
    curve('engines', 'Engines attached', 'engines', PER_REQUEST, engines.points),
    curve('worker-requests', 'Gateway workers on one core, requests', 'workers', PER_REQUEST, workers.requests),
    curve('worker-tokens', 'Gateway workers on one core, 256 streams', 'workers', PER_TOKEN, workers.tokens),
  ];
  return { curves, idle: engines.idle, memory };
}
