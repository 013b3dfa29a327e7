/** Who stands in line, as far as turns go. */
export interface InLine {
  /** Who shares turns: all of one organisation together. */
  readonly organization: string;
  /** The higher goes first. */
  readonly priority: number;
  /** What it takes when its turn comes, in tokens. */
  readonly tokens: number;
  /** What it holds in memory while it waits. */
  readonly bytes: number;
  /** When it came, on the monotonic clock. */
  readonly sinceMs: number;
}

/** How long a line may get. */
export interface LineBounds {
  readonly most: number;
  readonly mostBytes: number;
  /** After how long one who waits counts as one priority higher, in milliseconds. */
  readonly ageingMs: number;
}

/** What is known of an organisation while some of it wait. */
interface Share<T> {
  /** In the order in which they came. */
  readonly items: Set<T>;
  bytes: number;
  /** Tokens that turns have given it, since it last had nobody waiting. */
  served: number;
}

/**
 * Those who wait for one model. The highest priority goes first; within it the organisation that got the fewest tokens so far; within
 * that who came first. Who waits long rises, so nobody waits for ever. When the line is full, room is made at the cost of the
 * organisation that has the most in it, so one that floods takes nobody else's place. Pure: it has no clock and calls nobody.
 */
export class FairLine<T extends InLine> {
  readonly #bounds: LineBounds;
  readonly #shares = new Map<string, Share<T>>();
  #size = 0;
  #bytes = 0;

  constructor(bounds: LineBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#size;
  }

  /** What all of it holds in memory, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  has(item: T): boolean {
    return this.#shares.get(item.organization)?.items.has(item) ?? false;
  }

  /** Who has to leave for somebody to come in; nobody while there is room. Undefined: there is no room for him. */
  leaversFor(newcomer: InLine): readonly T[] | undefined {
    const { most, mostBytes } = this.#bounds;
    const leavers = new Set<T>();
    let bytes = this.#bytes + newcomer.bytes;
    while (this.#size - leavers.size + 1 > most || bytes > mostBytes) {
      const measure = bytes > mostBytes ? 'bytes' : 'count';
      const leaver = this.#leaver(newcomer, measure, leavers);
      if (!leaver) return undefined;
      leavers.add(leaver);
      bytes -= leaver.bytes;
    }
    return [...leavers];
  }

  /** Lets somebody stand in line, whatever the bounds. */
  add(item: T): void {
    const share = this.#shares.get(item.organization) ?? { items: new Set(), bytes: 0, served: this.#leastServed() };
    this.#shares.set(item.organization, share);
    share.items.add(item);
    share.bytes += item.bytes;
    this.#size += 1;
    this.#bytes += item.bytes;
  }

  /** He leaves the line: `served`, by his turn. */
  remove(item: T, served: boolean): void {
    const share = this.#shares.get(item.organization);
    if (!share?.items.delete(item)) return;
    if (served) share.served += item.tokens;
    share.bytes -= item.bytes;
    this.#size -= 1;
    this.#bytes -= item.bytes;
    if (share.items.size === 0) this.#shares.delete(item.organization);
  }

  /** Whose turn it is among those who are not `passed` over. */
  next(nowMs: number, passed: ReadonlySet<T>): T | undefined {
    let best: T | undefined;
    let bestLevel = Number.NEGATIVE_INFINITY;
    let bestServed = Number.POSITIVE_INFINITY;
    for (const { items, served } of this.#shares.values()) {
      for (const item of items) {
        if (passed.has(item)) continue;
        const level = this.#level(item, nowMs);
        if (level < bestLevel) continue;
        if (level === bestLevel) {
          if (served > bestServed) continue;
          if (served === bestServed && best !== undefined && item.sinceMs >= best.sinceMs) continue;
        }
        best = item;
        bestLevel = level;
        bestServed = served;
      }
    }
    return best;
  }

  /** All who stand in it. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const { items } of this.#shares.values()) yield* items;
  }

  #level({ priority, sinceMs }: T, nowMs: number): number {
    return priority + Math.floor((nowMs - sinceMs) / this.#bounds.ageingMs);
  }

  /** Who comes new begins where the others are: he neither owes turns nor is owed some. */
  #leastServed(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { served } of this.#shares.values()) least = Math.min(least, served);
    return Number.isFinite(least) ? least : 0;
  }

  /** The last who came of the organisation with the most in line, of a lower priority if there is one; else of the same. */
  #leaver(newcomer: InLine, measure: 'count' | 'bytes', leavers: ReadonlySet<T>): T | undefined {
    const sizes = this.#sizes(measure, leavers);
    const own = (sizes.get(newcomer.organization) ?? 0) + (measure === 'bytes' ? newcomer.bytes : 1);
    let leaver: T | undefined;
    for (const item of this) {
      if (leavers.has(item) || item.priority > newcomer.priority) continue;
      const size = sizes.get(item.organization) ?? 0;
      // Of one that has no more than the newcomer's, a place is as well used as by him.
      if (item.priority === newcomer.priority && size <= own) continue;
      if (leaver && !goesBefore(item, leaver, sizes)) continue;
      leaver = item;
    }
    return leaver;
  }

  #sizes(measure: 'count' | 'bytes', without: ReadonlySet<T>): Map<string, number> {
    const sizes = new Map<string, number>();
    for (const [organization, { items, bytes }] of this.#shares) {
      sizes.set(organization, measure === 'bytes' ? bytes : items.size);
    }
    for (const { organization, bytes } of without) {
      sizes.set(organization, (sizes.get(organization) ?? 0) - (measure === 'bytes' ? bytes : 1));
    }
    return sizes;
  }
}

/** Whether one leaves rather than another. */
function goesBefore(one: InLine, other: InLine, sizes: ReadonlyMap<string, number>): boolean {
  if (one.priority !== other.priority) return one.priority < other.priority;
  const difference = (sizes.get(one.organization) ?? 0) - (sizes.get(other.organization) ?? 0);
  return difference === 0 ? one.sinceMs >= other.sinceMs : difference > 0;
}
