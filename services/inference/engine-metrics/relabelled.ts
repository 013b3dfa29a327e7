import type { MetricFamily, Sample } from './exposition.ts';

/** What the names of engines' own metrics begin with here. */
const PREFIX = 'mesh_engine_';

/** An engine's metrics, and whose they are. */
export interface EngineFamilies {
  readonly node: string;
  readonly engine: string;
  readonly families: readonly MetricFamily[];
}

/**
 * The metrics of all engines as one text, each name once: `vllm:num_requests_running` becomes
 * `mesh_engine_vllm_num_requests_running{node,engine,…}`; a label of the engine's own that has one of our names is called
 * `exported_…`, as Prometheus itself calls it.
 *
 * @param isTaken whether a name is one of our own metrics; the engine's is left out then
 */
export function relabelled(engines: readonly EngineFamilies[], isTaken: (name: string) => boolean): string {
  const texts = new Map<string, { head: string; lines: Set<string> }>();
  for (const { node, engine, families } of engines) {
    const own = `node="${escaped(node)}",engine="${escaped(engine)}"`;
    for (const { name, type, help, samples } of families) {
      const ours = ourName(name);
      if (isTaken(ours)) continue;
      const text = texts.get(ours) ?? { head: headOf(ours, type, help), lines: new Set() };
      texts.set(ours, text);
      for (const sample of samples) text.lines.add(lineOf(sample, own));
    }
  }
  return [...texts.values()].map(({ head, lines }) => head + [...lines].join('')).join('');
}

function ourName(name: string): string {
  return PREFIX + name.replaceAll(':', '_');
}

function headOf(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help || "The engine's own."}\n# TYPE ${name} ${type}\n`;
}

function lineOf({ name, labels, value }: Sample, own: string): string {
  const others = labels.map(([label, text]) => `,${isOurs(label) ? `exported_${label}` : label}="${text}"`);
  return `${ourName(name)}{${own}${others.join('')}} ${value}\n`;
}

function isOurs(label: string): boolean {
  return label === 'node' || label === 'engine';
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
