import type { Revocation } from '../shared/interceptors/revocation.ts';

export type { Revocation } from '../shared/interceptors/revocation.ts';

/** How revocations reach every cache of verified principals. */
export interface Revocations {
  /**
   * Tells everybody who watches, in this process and in others that share the store. Resolves when it is stored.
   *
   * @throws MeshError STORE_UNAVAILABLE: whether it was told is unknown, say it again.
   */
  publish(revocation: Revocation): Promise<void>;
  /**
   * Calls listener with each from now on; `onBroken` once, when some may have been missed, also when that is so from the
   * start. Returns what ends it.
   */
  watch(listener: (revocation: Revocation) => void, onBroken: () => void): () => void;
  /**
   * Resolves when a watch that begins now misses nothing.
   *
   * @throws MeshError STORE_UNAVAILABLE when that does not come to be.
   */
  ready(): Promise<void>;
  /** Ends all watches as broken. */
  close(): void;
}

interface Watch {
  readonly listener: (revocation: Revocation) => void;
  readonly onBroken: () => void;
}

/** Those who watch in this process. */
export class Watches {
  readonly #watches = new Set<Watch>();

  add(listener: Watch['listener'], onBroken: () => void): () => void {
    const watch = { listener, onBroken };
    this.#watches.add(watch);
    return () => this.#watches.delete(watch);
  }

  tell(revocation: Revocation): void {
    for (const { listener } of this.#watches) listener(revocation);
  }

  /** Ends all of them. */
  break(): void {
    const broken = [...this.#watches];
    this.#watches.clear();
    for (const { onBroken } of broken) onBroken();
  }
}

/** Revocations of an embedded store: one process owns it, so all who watch are here. */
export function createLocalRevocations(): Revocations {
  const watches = new Watches();
  return {
    publish: async (revocation) => watches.tell(revocation),
    watch: (listener, onBroken) => watches.add(listener, onBroken),
    ready: async () => undefined,
    close: () => watches.break(),
  };
}
