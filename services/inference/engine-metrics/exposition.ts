/** Metrics of one name, as an engine tells them. */
export interface MetricFamily {
  readonly name: string;
  /** "counter", "gauge", "histogram", "summary" or "untyped". */
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** One value. */
export interface Sample {
  /** The family's name, of histograms and summaries with a suffix. */
  readonly name: string;
  /** Name and value of each label, the value as it is written, escapes included. */
  readonly labels: readonly (readonly [name: string, escaped: string])[];
  /** As it is written. */
  readonly value: string;
}

const COMMENT = /^#\s+(HELP|TYPE)\s+([a-zA-Z_:][\w:]*)\s?(.*)$/;
/** A name, then labels or not; what follows is the value, and a time that nobody needs. */
const HEAD = /^([a-zA-Z_:][\w:]*)/;
const LABEL = /\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?/y;
const VALUE = /^\s+([+-]?(?:Inf|NaN|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))(?:\s|$)/;
const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary']);
const SUFFIX = /_(bucket|sum|count)$/;

interface Draft {
  name: string;
  type: string;
  help: string;
  samples: Sample[];
}

/**
 * Reads Prometheus' text format. What is written by none of its rules is passed over: an engine must not break the answer in which
 * its metrics are told.
 *
 * @param mostSamples what comes after so many is passed over
 */
export function readExposition(text: string, mostSamples: number): MetricFamily[] {
  const families = new Map<string, Draft>();
  const family = (name: string): Draft => {
    const known = families.get(name);
    if (known) return known;
    const draft = { name, type: 'untyped', help: '', samples: [] };
    families.set(name, draft);
    return draft;
  };
  let count = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) {
      const [, kind, name = '', rest = ''] = COMMENT.exec(line) ?? [];
      if (kind === 'HELP') family(name).help = rest.trim();
      else if (kind === 'TYPE' && TYPES.has(rest.trim())) family(name).type = rest.trim();
      continue;
    }
    const sample = count < mostSamples ? readSample(line) : undefined;
    if (!sample) continue;
    count += 1;
    const base = families.get(sample.name.replace(SUFFIX, ''));
    const isPart = base?.type === 'histogram' || base?.type === 'summary';
    (isPart ? base : family(sample.name)).samples.push(sample);
  }
  return [...families.values()].filter(({ samples }) => samples.length > 0);
}

function readSample(line: string): Sample | undefined {
  const name = HEAD.exec(line)?.[1];
  if (name === undefined) return undefined;
  const labels: [string, string][] = [];
  let at = name.length;
  if (line[at] === '{') {
    LABEL.lastIndex = at + 1;
    for (let match = LABEL.exec(line); match; match = LABEL.exec(line)) {
      at = LABEL.lastIndex - 1;
      const [, label = '', value = ''] = match;
      // Such names are Prometheus' own.
      if (label.startsWith('__')) return undefined;
      labels.push([label, value]);
    }
    at += 1;
    while (line[at] === ' ') at += 1;
    if (line[at] !== '}') return undefined;
    at += 1;
  }
  // A value may follow labels at once.
  const value = VALUE.exec(` ${line.slice(at)}`)?.[1];
  return value === undefined ? undefined : { name, labels, value };
}
