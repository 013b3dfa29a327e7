import { type Device, type Engine, EngineState, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { NodeEngine } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { enumWord } from '../output/words.ts';

/** What one look at the mesh showed. */
export interface Sample {
  /** A clock that only goes forward, in milliseconds. */
  readonly atMs: number;
  readonly engines: readonly NodeEngine[];
  readonly devices: readonly { readonly node: string; readonly device: Device }[];
  /** How many requests wait for a place at an engine. */
  readonly waiting: number;
}

/** An engine in the view. */
export interface EngineRow {
  readonly node: string;
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly isReady: boolean;
  readonly running: number;
  readonly waiting: number;
  /** 0 to 1. Unset: it does not tell. */
  readonly kvCacheUsed?: number;
  readonly tokensPerSecond: number;
}

/** A device in the view. */
export interface DeviceRow {
  readonly node: string;
  /** E.g. "cuda 0", "cpu". */
  readonly device: string;
  readonly name: string;
  /** Bytes. */
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
  readonly engines: readonly string[];
  /** Why no engine is placed on it. Empty: engines are. */
  readonly excluded: string;
}

/** What the screen shows; `top --json` prints the same. */
export interface View {
  readonly url: string;
  readonly tokensPerSecond: number;
  readonly running: number;
  readonly waiting: number;
  readonly engines: readonly EngineRow[];
  readonly devices: readonly DeviceRow[];
}

/** The view of two looks: rates are of the time between them; without an earlier one they are 0. */
export function viewOf(url: string, now: Sample, before: Sample | undefined): View {
  const engines = now.engines.flatMap(({ node, engine }) => (engine ? [engineRow(node, engine, now, before)] : []));
  const sum = (of: (row: EngineRow) => number): number => engines.reduce((total, row) => total + of(row), 0);
  return {
    url,
    tokensPerSecond: Math.round(sum(({ tokensPerSecond }) => tokensPerSecond) * 10) / 10,
    running: sum(({ running }) => running),
    waiting: now.waiting + sum(({ waiting }) => waiting),
    engines,
    devices: now.devices.map(({ node, device }) => deviceRow(node, device)),
  };
}

function engineRow(node: string, engine: Engine, now: Sample, before: Sample | undefined): EngineRow {
  const { name, kind, state, stage, percent, load } = engine;
  const last = before?.engines.find((row) => row.node === node && row.engine?.name === name)?.engine?.load;
  const tokens = Number((load?.completionTokens ?? 0n) - (last?.completionTokens ?? load?.completionTokens ?? 0n));
  const seconds = before ? (now.atMs - before.atMs) / 1_000 : 0;
  const percentWord = percent === undefined ? '' : ` ${percent} %`;
  return {
    ...{ node, name, kind },
    state: enumWord(EngineStateSchema, state) + (stage === '' ? percentWord : `: ${stage}${percentWord}`),
    isReady: state === EngineState.READY,
    running: load?.running ?? 0,
    waiting: load?.waiting ?? 0,
    ...(load?.kvCacheUsed === undefined ? {} : { kvCacheUsed: load.kvCacheUsed }),
    // What looks after an engine begins anew at 0 when its process does.
    tokensPerSecond: tokens > 0 && seconds > 0 ? Math.round((tokens / seconds) * 10) / 10 : 0,
  };
}

function deviceRow(node: string, device: Device): DeviceRow {
  const { index, uuid, name, engines, excluded } = device;
  const kind = index !== undefined ? `cuda ${index}` : uuid === '' ? 'cpu' : 'mig';
  return {
    ...{ node, name, engines, excluded, device: kind },
    memoryUsedBytes: Number(device.memoryUsedBytes),
    memoryTotalBytes: Number(device.memoryTotalBytes),
  };
}
