import type { Child } from '../harness/child.ts';
import type { LoadTarget } from '../harness/load.ts';

/** What a peer needs to start. */
export interface PeerContext {
  readonly enginePort: number;
  /** An empty directory of its own. */
  readonly directory: string;
  /** CPU that all its processes are bound to. */
  readonly core: number;
  readonly environment: Record<string, string>;
}

export interface RunningPeer extends LoadTarget {
  /** Root of the process tree whose CPU and memory count; unset: the load goes straight to the engine. */
  readonly child?: Child;
  /** Where it would only show its queue: workloads beyond that are left out, and the report says so. */
  readonly atMost?: { readonly streams: number; readonly requestsPerSecond: number; readonly warmUpRequests: number };
}

/** Something between the load client and the engine that is measured beside others. */
export interface Peer {
  readonly name: string;
  /** What the report calls what was measured; unset: the project's own commit says it. */
  version?(): string;
  /** Installs what it can by itself, then says what it lacks on this machine and how to get it; undefined: nothing. */
  missing?(): string | undefined;
  /** Variables by which it records traces and sends them to `url`. Unset: it has none, or is measured without. */
  readonly tracesVariables?: (url: string) => Readonly<Record<string, string>>;
  /** Resolves when it answers. */
  start(context: PeerContext): Promise<RunningPeer>;
}
