import type { DeclaredMetric } from './declared-metrics.ts';

/** How a metric stands in the table of docs/metrics.md. */
export function metricRow({ name, type, labels, help }: DeclaredMetric): string {
  const named = labels.map((label) => `\`${label}\``).join(', ') || '–';
  return `| \`${name}\` | ${type} | ${named} | ${help.replaceAll('|', '\\|')} |`;
}

/** The rows of metrics in a document. */
export function metricRows(text: string): string[] {
  return text.split('\n').filter((line) => /^\| `\w+` \| (counter|gauge|histogram|summary) \|/.test(line));
}
