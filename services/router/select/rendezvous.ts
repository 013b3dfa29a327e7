/**
 * The item that a key leads to: the same for every router, and when one goes, only what led to it leads elsewhere. Undefined
 * when none passes. Of weighted items one of weight 2 gets twice as many keys as one of weight 1.
 */
export function rendezvous<T extends { readonly hash: number; readonly weight: number }>(
  items: readonly T[],
  key: number,
  passes: (item: T) => boolean,
): T | undefined {
  let best: T | undefined;
  let highest = -1;
  for (const item of items) {
    const drawn = unit(key ^ item.hash);
    // In the same order as -weight / log(drawn), and of a thousand items of weight 1 no power is taken.
    const score = item.weight === 1 ? drawn : drawn ** (1 / item.weight);
    // Asked only of those that would lead, which are few.
    if (score <= highest || !passes(item)) continue;
    highest = score;
    best = item;
  }
  return best;
}

/** 32 bits → a number between 0 and 1 that looks random (the finaliser of MurmurHash3). */
function unit(bits: number): number {
  let h = bits;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (((h ^ (h >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}
