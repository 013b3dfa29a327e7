import { processesWithMark } from './process-table.ts';

/** A start of which something may be left. */
export interface MarkedStart {
  readonly mark: string;
  /** The engine's own process. */
  readonly processId: number;
}

/** The processes of this node's engines, grandchildren in sessions of their own included. */
export class OwnProcesses {
  readonly #starts: () => readonly MarkedStart[];
  readonly #marks: () => readonly string[];
  /** By mark. */
  #known = new Map<string, ReadonlySet<number>>();
  #noting = false;

  /** `marks` are those of starts that may be over and of which something may be there all the same. */
  constructor(starts: () => readonly MarkedStart[], marks: () => readonly string[]) {
    this.#starts = starts;
    this.#marks = marks;
  }

  /** Looks for them, each with the mark of its start. One that has ended counts until its start is forgotten. */
  async find(): Promise<ReadonlyMap<number, string>> {
    const found = new Map<string, ReadonlySet<number>>();
    const leaders = new Map(this.#starts().map(({ mark, processId }) => [mark, processId]));
    for (const mark of new Set([...leaders.keys(), ...this.#marks()])) {
      const processIds = await processesWithMark(mark);
      // A process that is ending shows no environment any more and may still hold memory of a device.
      const known = [leaders.get(mark) ?? [], ...(this.#known.get(mark) ?? [])].flat();
      found.set(mark, new Set([...known, ...processIds]));
    }
    this.#known = found;
    return new Map([...found].flatMap(([mark, processIds]) => [...processIds].map((processId) => [processId, mark])));
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
