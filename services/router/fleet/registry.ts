import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { EngineFailureSchema, EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type Node, NodeSchema, type RegisterRequest } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { type Changes, createChanges } from '../../shared/transport/changes.ts';
import type { EngineLoads } from '../select/engine-loads.ts';
import { createSnapshot, type Naming, type Snapshot } from './snapshot.ts';

/**
 * How long a report counts, in milliseconds: a silent node is out of rotation after it, which is found within 2 s. Nodes
 * report every third of it.
 */
export const LEASE_MS = 1_900;

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
  /** What operators asked for, until the node has taken it over. */
  readonly #orders = new Map<string, boolean>();
  readonly #naming: Naming;
  readonly #loads: EngineLoads;
  #snapshot: Snapshot;

  /** Told whenever something may have become known. */
  readonly changes: Changes = createChanges();

  /** `loads` is told what nodes report of the load of their engines. */
  constructor(naming: Naming, loads: EngineLoads) {
    this.#naming = naming;
    this.#loads = loads;
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
   * @returns what an operator wants of the node and it has not taken over yet: whether it shall be out of rotation
   * @throws MeshError CONFLICT when a later start of the same node reports.
   */
  report(report: RegisterRequest, at: Moment): boolean | undefined {
    const known = this.#entries.get(report.node);
    // A node that is gone may come back with a clock that was set back.
    if (known?.live && known.node.epoch > report.epoch) {
      throw new MeshError('CONFLICT', `A later start of node '${report.node}' is registered.`, {
        metadata: { kind: 'node', id: report.node },
      });
    }
    if (known?.live && known.node.epoch === report.epoch && known.node.address === '' && report.address !== '') {
      throw new MeshError(
        'CONFLICT',
        `Node '${report.node}' runs in this process; it need not register from outside.`,
        {
          metadata: { kind: 'node', id: report.node },
        },
      );
    }
    // A new start does not know what was asked of the one before.
    if (known?.report.drained && known.node.epoch !== report.epoch) this.#orders.set(report.node, true);
    if (this.#orders.get(report.node) === report.drained) this.#orders.delete(report.node);
    const order = this.#orders.get(report.node);
    const node = create(NodeSchema, {
      node: report.node,
      epoch: report.epoch,
      address: report.address,
      engines: report.engines,
      devices: report.devices,
      draining: report.draining || (order ?? report.drained),
      lastReportAt: timestampFromMs(at.epochMs),
    });
    this.#entries.set(report.node, { node, report, expiresAtMs: at.monotonicMs + LEASE_MS, live: true });
    for (const engine of report.engines) this.#loads.report(`${report.node}/${engine.name}`, engine.load);
    if (!known?.live || !saysTheSame(known, node, report)) {
      this.#forgetLoads(known, node);
      this.#rebuild();
    }
    return order;
  }

  /**
   * Takes a node out of rotation whose stream broke after `report`, unless it has reported again by another stream
   * meanwhile.
   */
  lose(report: RegisterRequest, monotonicMs: number): void {
    const entry = this.#entries.get(report.node);
    if (entry?.report !== report || !entry.live) return;
    this.#lose(entry, monotonicMs);
    this.#rebuild();
  }

  /** Takes nodes that were silent for a lease out of rotation, and forgets those that stayed away. */
  expire(monotonicMs: number): void {
    let changed = false;
    for (const [name, entry] of this.#entries) {
      if (entry.live && entry.expiresAtMs <= monotonicMs) this.#lose(entry, monotonicMs);
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
  drain(name: string, drained: boolean): Node {
    const entry = this.#entries.get(name);
    if (!entry) throw new MeshError('NOT_FOUND', `No node '${name}'.`, { metadata: { kind: 'node', id: name } });
    this.#orders.set(name, drained);
    const node = { ...entry.node, draining: drained || entry.report.draining };
    this.#entries.set(name, { ...entry, node });
    this.#rebuild();
    return node;
  }

  #lose(entry: Entry, monotonicMs: number): void {
    this.#entries.set(entry.node.node, gone(entry, monotonicMs));
    this.#forgetLoads(entry);
  }

  /** What is no longer reported weighs no more. */
  #forgetLoads(known: Entry | undefined, now?: Node): void {
    const left = new Set(now?.engines.map(({ name }) => name));
    for (const { name } of known?.node.engines ?? []) {
      if (!left.has(name)) this.#loads.forget(`${known?.node.node}/${name}`);
    }
  }

  #rebuild(): void {
    this.#snapshot = createSnapshot(this.nodes(), this.#naming);
    this.changes.notify();
  }
}

/** Whether a report is the last one again, the load of the engines aside. */
function saysTheSame({ node: known, report: last }: Entry, node: Node, report: RegisterRequest): boolean {
  return (
    report.revision !== 0n &&
    report.revision === last.revision &&
    node.epoch === known.epoch &&
    node.address === known.address &&
    node.draining === known.draining
  );
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
