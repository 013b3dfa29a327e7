import type { Logger } from 'pino';
import type { Engine } from '../../gen/mesh/inference/v1/engine_pb.ts';
import type { RouterSource, RouterToTell } from '../shared/transport/router-sources.ts';
import { type Registration, register } from './registration.ts';

/** What a node tells of itself. */
export interface AnnouncementParts {
  readonly node: string;
  /** Grows with every start of the node. */
  readonly epoch: bigint;
  readonly routers: readonly RouterSource[];
  readonly engines: () => Engine[];
  /** Whether the node stops. */
  readonly isStopping: () => boolean;
  readonly log: Logger;
}

/**
 * How long a router that is not found any more is told on while it listens, in milliseconds: it may be one that stops, and still
 * looks for engines for what it has. Longer than processes take to stop.
 */
const LEAVE_AFTER_MS = 300_000;

/** Keeps a node known to every router, each by a stream of its own: no router needs another. */
export class Announcement {
  readonly #parts: AnnouncementParts;
  readonly #registrations = new Map<string, Registration>();
  /** In how many places a router is found: names may share an address. */
  readonly #places = new Map<string, number>();
  #ends: (() => void)[] = [];
  /** Counts changes but those of load. */
  #revision = 1n;
  /** Whether an operator took the node out of rotation; kept here, so that every router hears of it. */
  #drained = false;

  constructor(parts: AnnouncementParts) {
    this.#parts = parts;
  }

  start(): void {
    const changes = { come: (router: RouterToTell) => this.#come(router), go: (name: string) => this.#go(name) };
    this.#ends = this.#parts.routers.map((follow) => follow(changes));
  }

  /** Something but the load of engines has changed. */
  changed(): void {
    this.#revision += 1n;
    for (const registration of this.#registrations.values()) registration.changed();
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end();
    await Promise.all([...this.#registrations.values()].map((registration) => registration.close()));
  }

  #come({ name, registry, address, close }: RouterToTell): void {
    this.#places.set(name, (this.#places.get(name) ?? 0) + 1);
    const known = this.#registrations.get(name);
    if (known) {
      known.stay();
      close();
      return;
    }
    const { node, epoch, engines, isStopping, log } = this.#parts;
    const registration = register({
      registry,
      report: () => ({
        node,
        epoch,
        address,
        engines: engines(),
        draining: isStopping(),
        drained: this.#drained,
        revision: this.#revision,
      }),
      onDrain: (drained) => this.#drain(drained),
      log: log.child({ router: name }),
    });
    this.#registrations.set(name, registration);
    registration.left.then(() => {
      this.#registrations.delete(name);
      close();
    });
  }

  #go(name: string): void {
    const places = (this.#places.get(name) ?? 1) - 1;
    if (places > 0) {
      this.#places.set(name, places);
      return;
    }
    this.#places.delete(name);
    this.#registrations.get(name)?.leave(LEAVE_AFTER_MS);
  }

  #drain(drained: boolean): void {
    if (this.#drained === drained) return;
    this.#drained = drained;
    this.#parts.log.info(
      { drained },
      drained ? 'an operator drains this node' : 'an operator ends the drain of this node',
    );
    this.changed();
  }
}
