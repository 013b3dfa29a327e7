/** A sample's name, labels and value; labels may hold anything, a closing brace too. */
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{.*\})?[ \t]+(\S+)/;

/**
 * The values of chosen metrics in Prometheus' text format: each name with the values of all its label sets, in their
 * order. What is no sample, or no finite number, is passed over.
 */
export function readPrometheus(text: string, wanted: ReadonlySet<string>): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', written = ''] = SAMPLE.exec(line) ?? [];
    if (!wanted.has(name)) continue;
    const value = Number(written);
    if (!Number.isFinite(value)) continue;
    const values = found.get(name);
    if (values) values.push(value);
    else found.set(name, [value]);
  }
  return found;
}
