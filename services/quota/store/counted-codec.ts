import type { Rule } from '../budget.ts';
import type { Unit } from '../lease.ts';
import type { Counted } from './quota-store.ts';

/** Rule kinds by a letter, then the maximum: a lease keeps its limits, and there are many leases. redis-budget.ts reads it too. */
type Entry = readonly [counter: string, unit: Unit, kind: string, ...numbers: (number | string)[]];

const written = new WeakMap<Counted, string>();

/** Limits as text, as a lease keeps them. The text of a limit that is used again is remembered. */
export function encodeCounted(limits: readonly Counted[]): string {
  return `[${limits.map(textOf).join()}]`;
}

/** The reverse of encodeCounted. */
export function decodeCounted(text: string): Counted[] {
  const entries = JSON.parse(text) as Entry[];
  return entries.map(([counter, unit, kind, ...fields]) => ({ counter, unit, rule: ruleOf(kind, fields) }));
}

function textOf(limit: Counted): string {
  const known = written.get(limit);
  if (known !== undefined) return known;
  const entry: Entry = [limit.counter, limit.unit, ...ruleFields(limit.rule)];
  const text = JSON.stringify(entry);
  written.set(limit, text);
  return text;
}

function ruleFields(rule: Rule): [string, ...(number | string)[]] {
  switch (rule.kind) {
    case 'window':
      return ['w', rule.maximum, rule.stepMs, rule.steps];
    case 'calendar':
      return ['c', rule.maximum, rule.period];
    case 'bucket':
      return ['b', rule.burst, rule.refillPerMinute];
    case 'concurrency':
      return ['n', rule.maximum];
  }
}

function ruleOf(kind: string, fields: readonly (number | string)[]): Rule {
  const [first = 0, second = 0, third = 0] = fields.map(Number);
  switch (kind) {
    case 'w':
      return { kind: 'window', maximum: first, stepMs: second, steps: third };
    case 'c':
      return { kind: 'calendar', maximum: first, period: fields[1] === 'day' ? 'day' : 'month' };
    case 'b':
      return { kind: 'bucket', burst: first, refillPerMinute: second };
    case 'n':
      return { kind: 'concurrency', maximum: first };
    default:
      throw new Error(`a limit of unknown kind ${kind}`);
  }
}
