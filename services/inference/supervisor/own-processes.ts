import { processesWithMark } from './process-table.ts';

/** The ids of the processes of this node's engines, grandchildren in sessions of their own included. */
export class OwnProcesses {
  readonly #marks: () => readonly string[];
  /** By mark. */
  #known = new Map<string, ReadonlySet<number>>();

  /** `marks` are those of the starts of which something may be left. */
  constructor(marks: () => readonly string[]) {
    this.#marks = marks;
  }

  /** Looks for them. One that has ended counts until its start is forgotten. */
  async find(): Promise<ReadonlySet<number>> {
    const found = new Map<string, ReadonlySet<number>>();
    for (const mark of this.#marks()) {
      const processIds = await processesWithMark(mark);
      // A process that is ending shows no environment any more and may still hold memory of a device.
      found.set(mark, new Set([...(this.#known.get(mark) ?? []), ...processIds]));
    }
    this.#known = found;
    return new Set([...found.values()].flatMap((processIds) => [...processIds]));
  }
}
