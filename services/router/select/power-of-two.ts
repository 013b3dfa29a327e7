/**
 * The less loaded of two items drawn at random, which spreads load nearly as well as comparing all of them and does not
 * herd several routers onto the same engine. Undefined for an empty list.
 */
export function powerOfTwo<T>(items: readonly T[], load: (item: T) => number, random: () => number): T | undefined {
  if (items.length < 2) return items[0];
  const firstIndex = Math.floor(random() * items.length);
  // Drawn from the others and shifted past the first, so the two always differ.
  const offset = 1 + Math.floor(random() * (items.length - 1));
  const first = items[firstIndex];
  const second = items[(firstIndex + offset) % items.length];
  if (first === undefined || second === undefined) return first ?? second;
  return load(second) < load(first) ? second : first;
}
