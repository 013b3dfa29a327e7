import { processesWithMark } from './process-table.ts';

/** A start of which something may be left. */
export interface MarkedStart {
  readonly mark: string;
  /** The engine's own process. */
  readonly processId: number;
}

/** The ids of the processes of this node's engines, grandchildren in sessions of their own included. */
export class OwnProcesses {
  readonly #starts: () => readonly MarkedStart[];
  /** By mark. */
  #known = new Map<string, ReadonlySet<number>>();
  #noting = false;

  constructor(starts: () => readonly MarkedStart[]) {
    this.#starts = starts;
  }

  /** Looks for them. One that has ended counts until its start is forgotten. */
  async find(): Promise<ReadonlySet<number>> {
    const found = new Map<string, ReadonlySet<number>>();
    for (const { mark, processId } of this.#starts()) {
      const processIds = await processesWithMark(mark);
      // A process that is ending shows no environment any more and may still hold memory of a device.
      found.set(mark, new Set([processId, ...(this.#known.get(mark) ?? []), ...processIds]));
    }
    this.#known = found;
    return new Set([...found.values()].flatMap((processIds) => [...processIds]));
  }

  /** Looks in the background, so that those are known that end before they are asked for. */
  note(): void {
    if (this.#noting) return;
    this.#noting = true;
    void this.find().finally(() => {
      this.#noting = false;
    });
  }
}
