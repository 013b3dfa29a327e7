import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Node, NodeSchema, type RegisterRequest } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { createSnapshot, type Naming, type Snapshot } from './snapshot.ts';

/** How long a report counts, in milliseconds: a silent node is out of rotation after it. Nodes report every third of it. */
export const LEASE_MS = 2_000;

interface Entry {
  readonly node: Node;
  readonly expiresAtMs: number;
}

/** The nodes that this router knows, each for as long as its lease. The one writer of the snapshot. */
export class Registry {
  readonly #entries = new Map<string, Entry>();
  /** Nodes that an operator took out of rotation; kept apart so that a node's own reports do not put it back. */
  readonly #drained = new Set<string>();
  readonly #naming: Naming;
  #snapshot: Snapshot;

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
    return [...this.#entries.values()].map((entry) => entry.node).sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /**
   * Takes a node's report and renews its lease.
   *
   * @throws MeshError CONFLICT when a later start of the same node has reported.
   */
  report(report: RegisterRequest, nowMs: number): void {
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
      lastReportAt: timestampFromMs(nowMs),
    });
    this.#entries.set(report.node, { node, expiresAtMs: nowMs + LEASE_MS });
    this.#rebuild();
  }

  /** Forgets a node whose stream broke, unless a later start of it has registered meanwhile. */
  remove(name: string, epoch: bigint): void {
    if (this.#entries.get(name)?.node.epoch !== epoch) return;
    this.#entries.delete(name);
    this.#rebuild();
  }

  /** Forgets nodes that were silent for a lease. */
  expire(nowMs: number): void {
    const silent = [...this.#entries].filter(([, entry]) => entry.expiresAtMs <= nowMs);
    for (const [name] of silent) this.#entries.delete(name);
    if (silent.length > 0) this.#rebuild();
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
  }
}
