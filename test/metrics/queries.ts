import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

const deploy = resolve(import.meta.dirname, '../../deploy');

/** The files of Prometheus that ship with the mesh. */
export const PROMETHEUS_DIR = resolve(deploy, 'prometheus');

/** A query that ships with the mesh, and where it stands. */
export interface ShippedQuery {
  readonly where: string;
  readonly expr: string;
}

const dashboardSchema = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).default([]) })),
  templating: z.object({ list: z.array(z.object({ name: z.string(), definition: z.string().optional() })) }),
});
const rulesSchema = z.object({
  groups: z.array(z.object({ rules: z.array(z.object({ alert: z.string(), expr: z.string() })) })),
});

/** The queries of the dashboard's panels, and of the variables that choose. */
export function dashboardQueries(): ShippedQuery[] {
  const text = readFileSync(resolve(deploy, 'grafana/dashboards/inference-mesh.json'), 'utf8');
  const { panels, templating } = dashboardSchema.parse(JSON.parse(text));
  const shown = panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ where: title, expr })));
  const chosen = templating.list.flatMap(({ name, definition }) => {
    const expr = /^label_values\((.*), \w+\)$/.exec(definition ?? '')?.[1];
    return expr === undefined ? [] : [{ where: `variable ${name}`, expr }];
  });
  return [...shown, ...chosen];
}

/** The queries of the alert rules. */
export function alertQueries(): ShippedQuery[] {
  const { groups } = rulesSchema.parse(parse(readFileSync(resolve(PROMETHEUS_DIR, 'alerts.yml'), 'utf8')));
  return groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => ({ where: alert, expr })));
}

/** A query as Prometheus takes it, without what Grafana fills in. */
export function filledIn(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'mesh').replaceAll('$model', '.*');
}

/** What a query reads of one metric. */
export interface Reading {
  readonly metric: string;
  readonly labels: readonly string[];
}

/** Words of PromQL that are followed by labels in brackets. */
const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const SELECTOR = /\b([a-zA-Z_:][\w:]*)(?:\s*\{([^}]*)\}|(?![\w:]|\s*[({]))/g;
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset']);

/** The metrics that a query reads, each with the labels that it selects by, and the labels that it groups by. */
export function readingsOf(expr: string): { readonly readings: Reading[]; readonly grouping: string[] } {
  const bare = expr.replaceAll(/\[[^\]]*\]/g, '');
  const grouping = [...bare.matchAll(GROUPING)].flatMap(([, labels = '']) => labelsOf(labels));
  const readings = [...bare.replaceAll(GROUPING, '').matchAll(SELECTOR)]
    .map(([, metric = '', labels = '']) => ({ metric, labels: labelsOf(labels) }))
    .filter(({ metric }) => !WORDS.has(metric));
  return { readings, grouping };
}

/** Of `a="b",c=~"d"` and of `a, c` the names. */
function labelsOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim().match(/^\w+/)?.[0] ?? '')
    .filter(Boolean);
}
