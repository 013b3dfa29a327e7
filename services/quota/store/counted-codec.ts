import type { Rule } from '../budget.ts';
import type { Unit } from '../lease.ts';
import type { Counted } from './quota-store.ts';

/** Rule kinds by a letter, then the maximum: a lease keeps its limits, and there are many leases. redis-budget.ts reads it too. */
type Entry = readonly [counter: string, unit: Unit, kind: string, ...numbers: (number | string)[]];

/** The end of the text of a limit, which many counters share. */
interface Ending {
  readonly unit: Unit;
  readonly text: string;
}

const endings = new WeakMap<Rule, Ending>();

/** Limits as text, as a lease keeps them. What counters of one rule have in common is remembered. */
export function encodeCounted(limits: readonly Counted[]): string {
  return `[${limits.map(textOf).join()}]`;
}

/** The reverse of encodeCounted. */
export function decodeCounted(text: string): Counted[] {
  const entries = JSON.parse(text) as Entry[];
  return entries.map(([counter, unit, kind, ...fields]) => ({ counter, unit, rule: ruleOf(kind, fields) }));
}

function textOf({ counter, unit, rule }: Counted): string {
  const known = endings.get(rule);
  if (known?.unit === unit) return `[${JSON.stringify(counter)}${known.text}`;
  const entry: Entry = [counter, unit, ...ruleFields(rule)];
  const [, ...ending] = entry;
  endings.set(rule, { unit, text: `,${JSON.stringify(ending).slice(1)}` });
  return JSON.stringify(entry);
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
