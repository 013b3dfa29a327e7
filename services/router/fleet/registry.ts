import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { EngineFailureSchema, EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type Node, NodeSchema, type RegisterRequest } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { type Changes, createChanges } from '../../shared/transport/changes.ts';
import { createSnapshot, type Naming, type Snapshot } from './snapshot.ts';

/** How long a report counts, in milliseconds: a silent node is out of rotation after it. Nodes report every third of it. */
export const LEASE_MS = 2_000;

/**
 * How long a node that is gone stays known, in milliseconds. Its models answer "no healthy backends, try again" meanwhile
 * instead of "no such model".
 */
const REMEMBER_MS = 300_000;

/** One moment on both clocks: leases run on the monotonic one, so that setting the wall clock ends none. */
export interface Moment {
  /** Milliseconds since the epoch. */
  readonly epochMs: number;
  /** Milliseconds on the monotonic clock. */
  readonly monotonicMs: number;
}

/** A node and whether it still reports. */
export interface Member {
  /** As it is known: of one that no longer reports no engine can take a request. */
  readonly node: Node;
  /** Whether its lease holds. */
  readonly live: boolean;
}

interface Entry extends Member {
  /** What it said last. */
  readonly report: RegisterRequest;
  /** When the lease ends, on the monotonic clock. */
  readonly expiresAtMs: number;
}

/** The nodes that this router knows, each for as long as its lease. The one writer of the snapshot. */
export class Registry {
  readonly #entries = new Map<string, Entry>();
  /** Nodes that an operator took out of rotation; kept apart so that a node's own reports do not put it back. */
  readonly #drained = new Set<string>();
  readonly #naming: Naming;
  #snapshot: Snapshot;

  /** Told whenever something may have become known. */
  readonly changes: Changes = createChanges();

  constructor(naming: Naming) {
    this.#naming = naming;
    this.#snapshot = createSnapshot([], naming);
  }

  /** What is known now. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** The nodes by name. */
  nodes(): Node[] {
    return this.members().map(({ node }) => node);
  }

  /** The nodes by name, and whether each of them still reports. */
  members(): Member[] {
    return [...this.#entries.values()].sort((a, b) => (a.node.node < b.node.node ? -1 : 1));
  }

  /** A node by its name. Undefined: it is not known, or no more. */
  member(name: string): Member | undefined {
    return this.#entries.get(name);
  }

  /**
   * Takes a node's report and renews its lease.
   *
   * @throws MeshError CONFLICT when a later start of the same node has reported.
   */
  report(report: RegisterRequest, at: Moment): void {
    const known = this.#entries.get(report.node)?.node;
    if (known && known.epoch > report.epoch) {
      throw new MeshError('CONFLICT', `A later start of node '${report.node}' is registered.`, {
        metadata: { kind: 'node', id: report.node },
      });
    }
    const node = create(NodeSchema, {
      node: report.node,
      epoch: report.epoch,
      address: report.address,
      engines: report.engines,
      devices: report.devices,
      draining: report.draining || this.#drained.has(report.node),
      lastReportAt: timestampFromMs(at.epochMs),
    });
    this.#entries.set(report.node, { node, report, expiresAtMs: at.monotonicMs + LEASE_MS, live: true });
    this.#rebuild();
  }

  /**
   * Takes a node out of rotation whose stream broke after `report`, unless it has reported again by another stream
   * meanwhile.
   */
  lose(report: RegisterRequest, monotonicMs: number): void {
    const entry = this.#entries.get(report.node);
    if (entry?.report !== report || !entry.live) return;
    this.#entries.set(report.node, gone(entry, monotonicMs));
    this.#rebuild();
  }

  /** Takes nodes that were silent for a lease out of rotation, and forgets those that stayed away. */
  expire(monotonicMs: number): void {
    let changed = false;
    for (const [name, entry] of this.#entries) {
      if (entry.live && entry.expiresAtMs <= monotonicMs) this.#entries.set(name, gone(entry, monotonicMs));
      else if (!entry.live && entry.expiresAtMs + REMEMBER_MS <= monotonicMs) this.#entries.delete(name);
      else continue;
      changed = true;
    }
    if (changed) this.#rebuild();
  }

  /**
   * Takes a node out of rotation, or back in.
   *
   * @throws MeshError NOT_FOUND for an unknown node.
   */
  drain(name: string, draining: boolean): Node {
    const entry = this.#entries.get(name);
    if (!entry) throw new MeshError('NOT_FOUND', `No node '${name}'.`, { metadata: { kind: 'node', id: name } });
    if (draining) this.#drained.add(name);
    else this.#drained.delete(name);
    const node = { ...entry.node, draining };
    this.#entries.set(name, { ...entry, node });
    this.#rebuild();
    return node;
  }

  #rebuild(): void {
    this.#snapshot = createSnapshot(this.nodes(), this.#naming);
    this.changes.notify();
  }
}

/** A node that does not answer: what it served stays known, but none of its engines can take a request. */
function gone(entry: Entry, monotonicMs: number): Entry {
  const failure = create(EngineFailureSchema, {
    cause: FailureCause.UNREACHABLE,
    hint: 'The node no longer reports to the router.',
  });
  const engines = entry.node.engines.map((engine) => ({ ...engine, state: EngineState.UNHEALTHY, failure }));
  return { ...entry, node: { ...entry.node, engines }, expiresAtMs: monotonicMs, live: false };
}
