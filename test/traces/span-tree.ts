/** A span as whoever keeps traces tells it. */
export interface SeenSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it began the trace. */
  readonly parentId: string;
  readonly name: string;
  readonly service: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Names of its events. */
  readonly events: readonly string[];
}

/** A trace as lines, a span's parts below it and further in: "service: name", in alphabetical order, the same ones once. */
export function treeOf(spans: readonly SeenSpan[]): string[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const roots = spans.filter(({ parentId }) => !ids.has(parentId));
  return linesOf(roots, spans, '');
}

function linesOf(siblings: readonly SeenSpan[], spans: readonly SeenSpan[], indent: string): string[] {
  const blocks = siblings.map((span) => [
    `${indent}${span.service}: ${span.name}`,
    ...linesOf(
      spans.filter(({ parentId }) => parentId === span.spanId),
      spans,
      `${indent}  `,
    ),
  ]);
  const texts = new Set(blocks.map((lines) => lines.join('\n')));
  return [...texts].toSorted().flatMap((text) => text.split('\n'));
}

/** The one span of that name. */
export function spanNamed(spans: readonly SeenSpan[], name: string, service?: string): SeenSpan {
  const found = spans.filter((span) => span.name === name && (service === undefined || span.service === service));
  const [only] = found;
  if (!only || found.length > 1) throw new Error(`${found.length} spans '${name}' in\n${treeOf(spans).join('\n')}`);
  return only;
}
