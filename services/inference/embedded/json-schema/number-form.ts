import type { Form } from './forms.ts';
import type { GrammarWriter } from './grammar-writer.ts';
import { SchemaError, type SchemaNode, type SchemaPath } from './schema-node.ts';

/** The largest whole number that the grammars write: 15 digits, which every reader of JSON keeps exactly. */
const LARGEST = 10 ** 15 - 1;

type Bounds = { readonly low: number; readonly high: number; readonly openLow: boolean; readonly openHigh: boolean };

/** Numbers, whole ones for `integer`, by `minimum`, `maximum` and their exclusive forms. */
export function numberForm(node: SchemaNode, isInteger: boolean, path: SchemaPath, writer: GrammarWriter): Form {
  if (node.multipleOf !== undefined && !(isInteger && node.multipleOf === 1)) {
    throw new SchemaError([...path, 'multipleOf'], 'unsupported', 'this engine cannot hold an answer to it');
  }
  const bounds = readBounds(node, isInteger, path);
  if (bounds === undefined)
    return { rule: writer.shared(isInteger ? 'integer' : 'number'), kind: 'number', children: [] };
  const body = isInteger ? wholeNumbers(bounds.low, bounds.high) : decimals(bounds);
  if (body.length === 0) throw new SchemaError(path, 'invalid', 'no number is within its bounds');
  return { rule: writer.add(body.join(' | ')), kind: 'number', children: [] };
}

/** Undefined: there are none. Those of whole numbers come out closed. */
function readBounds(node: SchemaNode, isInteger: boolean, path: SchemaPath): Bounds | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = node;
  if ([minimum, maximum, exclusiveMinimum, exclusiveMaximum].every((bound) => bound === undefined)) return undefined;
  for (const keyword of ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'] as const) {
    const bound = node[keyword];
    if (bound === undefined || isInteger || Number.isInteger(bound)) continue;
    throw new SchemaError([...path, keyword], 'unsupported', 'must be whole: other bounds this engine cannot hold to');
  }
  const openLow = exclusiveMinimum !== undefined && exclusiveMinimum >= (minimum ?? -Infinity);
  const openHigh = exclusiveMaximum !== undefined && exclusiveMaximum <= (maximum ?? Infinity);
  const low = Math.max(minimum ?? -Infinity, exclusiveMinimum ?? -Infinity);
  const high = Math.min(maximum ?? Infinity, exclusiveMaximum ?? Infinity);
  if (!isInteger) return { low: Math.max(low, -LARGEST), high: Math.min(high, LARGEST), openLow, openHigh };
  const first = openLow ? Math.floor(low) + 1 : Math.ceil(low);
  const last = openHigh ? Math.ceil(high) - 1 : Math.floor(high);
  return { low: Math.max(first, -LARGEST), high: Math.min(last, LARGEST), openLow: false, openHigh: false };
}

/** Alternatives for the whole numbers from `low` to `high`. */
function wholeNumbers(low: number, high: number): string[] {
  if (low > high) return [];
  const negative = low < 0 ? digitRanges(Math.max(1, -high), -low).map((range) => `"-" ${range}`) : [];
  return high < 0 ? negative : [...negative, ...digitRanges(Math.max(0, low), high)];
}

/** Alternatives for the numbers between whole bounds, with up to 15 decimals. */
function decimals({ low, high, openLow, openHigh }: Bounds): string[] {
  if (low > high || (low === high && (openLow || openHigh))) return [];
  const above = high >= 0 ? magnitudes(Math.max(0, low), high, openLow && low >= 0, openHigh) : [];
  const below = low < 0 ? magnitudes(Math.max(0, -high), -low, openHigh && high <= 0, openLow) : [];
  return [...above, ...below.map((range) => `"-" (${range})`)];
}

/** Alternatives for the decimals from `low` to `high`, neither negative; `open`: the bound itself is none of them. */
function magnitudes(low: number, high: number, openLow: boolean, openHigh: boolean): string[] {
  const anyFraction = '("." [0-9]{1,15})?';
  const someFraction = '"." [0-9]{0,14} [1-9]';
  const ranges: string[] = [];
  if (low < high) ranges.push(`"${low}" ${openLow ? someFraction : anyFraction}`);
  if (low + 1 <= high - 1) ranges.push(`(${digitRanges(low + 1, high - 1).join(' | ')}) ${anyFraction}`);
  if (!openHigh && !(low === high && openLow)) ranges.push(`"${high}" ("." "0"{1,15})?`);
  return ranges;
}

/** Alternatives for the whole numbers from `low` to `high`, neither negative, without leading zeros. */
function digitRanges(low: number, high: number): string[] {
  const ranges: string[] = [];
  for (let from = low; from <= high; ) {
    const length = String(from).length;
    // The longest run from here whose members differ in their last digits only, all of these being free.
    let free = 0;
    while (free < length - 1 && from % 10 ** (free + 1) === 0 && from + 10 ** (free + 1) - 1 <= high) free++;
    const step = 10 ** free;
    const digit = Math.floor(from / step) % 10;
    const most = Math.min(9, digit + Math.floor((high - from + 1) / step) - 1);
    const head = String(from).slice(0, length - free - 1);
    ranges.push(
      [
        ...(head === '' ? [] : [`"${head}"`]),
        digit === most ? `"${digit}"` : `[${digit}-${most}]`,
        ...(free === 0 ? [] : [`[0-9]{${free}}`]),
      ].join(' '),
    );
    from += (most - digit + 1) * step;
  }
  return ranges;
}
