/** How often an item is drawn at random before all are looked at; with half of them out of question that is enough. */
const DRAWS = 8;

/**
 * The better of two items drawn at random among those that pass, which spreads load nearly as well as comparing all of them
 * and does not herd several routers onto the same engine. Undefined when none passes. Looks at few of many.
 *
 * @param score lower is better; of two that are equal the first drawn is taken
 */
export function powerOfTwo<T>(
  items: readonly T[],
  passes: (item: T) => boolean,
  score: (item: T) => number,
  random: () => number,
): T | undefined {
  let first: T | undefined;
  for (let draw = 0; draw < DRAWS && items.length > 2; draw += 1) {
    const item = items[Math.floor(random() * items.length)];
    if (item === undefined || item === first || !passes(item)) continue;
    if (first !== undefined) return better(first, item, score);
    first = item;
  }
  return amongAll(items.filter(passes), score, random);
}

function amongAll<T>(items: readonly T[], score: (item: T) => number, random: () => number): T | undefined {
  if (items.length < 2) return items[0];
  const at = Math.floor(random() * items.length);
  // Drawn from the others and shifted past the first, so the two always differ.
  const offset = 1 + Math.floor(random() * (items.length - 1));
  const first = items[at];
  const second = items[(at + offset) % items.length];
  if (first === undefined || second === undefined) return first ?? second;
  return better(first, second, score);
}

function better<T>(first: T, second: T, score: (item: T) => number): T {
  return score(second) < score(first) ? second : first;
}
