import type { Logger } from 'pino';
import type { Engine } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { type Registration, register } from './registration.ts';
import type { RouterToTell } from './resources.ts';

/** What a node tells of itself. */
export interface AnnouncementParts {
  readonly node: string;
  /** Grows with every start of the node. */
  readonly epoch: bigint;
  readonly routers: readonly RouterToTell[];
  readonly engines: () => Engine[];
  /** Whether the node stops. */
  readonly isStopping: () => boolean;
  readonly log: Logger;
}

/** Keeps a node known to every router, each by a stream of its own: no router needs another. */
export class Announcement {
  readonly #parts: AnnouncementParts;
  readonly #registrations: Registration[] = [];
  /** Counts changes but those of load. */
  #revision = 1n;
  /** Whether an operator took the node out of rotation; kept here, so that every router hears of it. */
  #drained = false;

  constructor(parts: AnnouncementParts) {
    this.#parts = parts;
  }

  start(): void {
    const { node, epoch, routers, engines, isStopping, log } = this.#parts;
    for (const { name, registry, address } of routers) {
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
      this.#registrations.push(registration);
    }
  }

  /** Something but the load of engines has changed. */
  changed(): void {
    this.#revision += 1n;
    for (const registration of this.#registrations) registration.changed();
  }

  async close(): Promise<void> {
    await Promise.all(this.#registrations.map((registration) => registration.close()));
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
