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
  return amongAll(items, passes, score, random);
}

/** Looks at each item once; any two of those that pass are drawn with the same chance. */
function amongAll<T>(
  items: readonly T[],
  passes: (item: T) => boolean,
  score: (item: T) => number,
  random: () => number,
): T | undefined {
  let first: T | undefined;
  let second: T | undefined;
  let passing = 0;
  for (const item of items) {
    if (!passes(item)) continue;
    passing += 1;
    const place = passing > 2 ? Math.floor(random() * passing) : passing - 1;
    if (place === 0) first = item;
    else if (place === 1) second = item;
  }
  if (first === undefined || second === undefined) return first;
  // Else of two that are equal always the same would be taken.
  return random() < 0.5 ? better(first, second, score) : better(second, first, score);
}

function better<T>(first: T, second: T, score: (item: T) => number): T {
  return score(second) < score(first) ? second : first;
}
