import type { Form } from './forms.ts';
import type { GrammarWriter } from './grammar-writer.ts';
import { type Bounds, closed, isEmpty, MAX_DIGITS, readBounds, withinDigits } from './number-bounds.ts';
import { SchemaError, type SchemaNode, type SchemaPath } from './schema-node.ts';

/** Numbers, whole ones for `integer`, by `minimum`, `maximum` and their exclusive forms. */
export function numberForm(node: SchemaNode, isInteger: boolean, path: SchemaPath, writer: GrammarWriter): Form {
  if (node.multipleOf !== undefined && !(isInteger && node.multipleOf === 1)) {
    throw new SchemaError([...path, 'multipleOf'], 'unsupported', 'this engine cannot hold an answer to it');
  }
  const asked = readBounds(node, isInteger, path);
  if (asked === undefined)
    return { rule: writer.shared(isInteger ? 'integer' : 'number'), kind: 'number', children: [] };
  const bounds = isInteger ? closed(asked) : asked;
  if (isEmpty(bounds)) throw new SchemaError(path, 'invalid', 'no number is within its bounds');
  const written = withinDigits(bounds);
  const body = isInteger ? wholeNumbers(written.low, written.high) : decimals(written);
  if (body.length === 0) {
    const sides = {
      low: asked.openLow ? 'exclusiveMinimum' : 'minimum',
      high: asked.openHigh ? 'exclusiveMaximum' : 'maximum',
    };
    const keyword = bounds.high < 0 ? sides.high : sides.low;
    throw new SchemaError(
      [...path, keyword],
      'unsupported',
      `must have at most ${MAX_DIGITS} digits and allow such numbers`,
    );
  }
  return { rule: writer.add(body.join(' | ')), kind: 'number', children: [] };
}

/** Alternatives for the whole numbers from `low` to `high`. */
function wholeNumbers(low: number, high: number): string[] {
  if (low > high) return [];
  const negative = low < 0 ? digitRanges(Math.max(1, -high), -low).map((range) => `"-" ${range}`) : [];
  return high < 0 ? negative : [...negative, ...digitRanges(Math.max(0, low), high)];
}

/** Alternatives for the numbers between whole bounds. */
function decimals(bounds: Bounds): string[] {
  if (isEmpty(bounds)) return [];
  const { low, high, openLow, openHigh } = bounds;
  const above = high >= 0 ? magnitudes(Math.max(0, low), high, openLow && low >= 0, openHigh) : [];
  const below = low < 0 ? magnitudes(Math.max(0, -high), -low, openHigh && high <= 0, openLow) : [];
  return [...above, ...below.map((range) => `"-" (${range})`)];
}

/** Alternatives for the decimals from `low` to `high`, neither negative; `open`: the bound itself is none of them. */
function magnitudes(low: number, high: number, openLow: boolean, openHigh: boolean): string[] {
  const ranges: string[] = [];
  const room = MAX_DIGITS - String(low).length;
  if (low < high && openLow && room > 0) ranges.push(`"${low}" "." [0-9]{0,${room - 1}} [1-9]`);
  if (low < high && !openLow) ranges.push(`"${low}" ${anyFraction(String(low).length)}`);
  // One range for each length: the longer the whole part, the fewer decimals.
  for (let length = String(low + 1).length; length <= String(high - 1).length; length++) {
    const whole = digitRanges(Math.max(low + 1, 10 ** (length - 1)), Math.min(high - 1, 10 ** length - 1));
    if (whole.length > 0) ranges.push(`(${whole.join(' | ')}) ${anyFraction(length)}`);
  }
  if (!openHigh && !(low === high && openLow)) ranges.push(`"${high}" ("." "0"{1,15})?`);
  return ranges;
}

function anyFraction(wholeDigits: number): string {
  return wholeDigits < MAX_DIGITS ? `("." [0-9]{1,${MAX_DIGITS - wholeDigits}})?` : '';
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
