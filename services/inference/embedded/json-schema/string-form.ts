import type { Form } from './forms.ts';
import type { GrammarWriter } from './grammar-writer.ts';
import { SchemaError, type SchemaNode, type SchemaPath } from './schema-node.ts';

const MAX_LENGTH = 100_000;
/** Longer runs are made of runs of this length. */
const RUN = 1000;

const HOUR_MINUTE = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]';
/** February has 28 days here: a valid date of every year. */
const DATE =
  '[1-9] [0-9]{3} "-" (("0" [13578] | "1" [02]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])' +
  ' | ("0" [469] | "11") "-" ("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))';
const TIME = `${HOUR_MINUTE} ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [+-] ${HOUR_MINUTE})`;
const BYTE = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9] [0-9] | [1-9] [0-9] | [0-9])';
const LABEL = '[a-z] [a-z0-9]{0,30}';
const HOST = `${LABEL} ("." ${LABEL}){1,3}`;

/** What is between the quotes; for some formats only the usual ones of their texts. */
const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE} "T" ${TIME}`,
  duration: `"P" [1-9] [0-9]{0,3} ("D" | "W" | "M" | "Y") | "PT" [1-9] [0-9]{0,3} [HMS]`,
  uuid: 'hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}',
  ipv4: `${BYTE} ("." ${BYTE}){3}`,
  ipv6: 'hex{1,4} (":" hex{1,4}){7}',
  hostname: HOST,
  email: `[a-z0-9]{1,32} ([._-] [a-z0-9]{1,16}){0,3} "@" ${HOST}`,
  uri: `"http" "s"? "://" ${HOST} ("/" [A-Za-z0-9._~-]{0,64}){0,16}`,
};

/** Strings by `format`, or by `minLength` and `maxLength` in code points. */
export function stringForm(node: SchemaNode, path: SchemaPath, writer: GrammarWriter): Form {
  const { format, minLength = 0, maxLength } = node;
  if (format !== undefined) return { rule: formatRule(format, node, path, writer), kind: 'string', children: [] };
  for (const keyword of ['minLength', 'maxLength'] as const) {
    if ((node[keyword] ?? 0) > MAX_LENGTH) {
      throw new SchemaError([...path, keyword], 'unsupported', `must be at most ${MAX_LENGTH}`);
    }
  }
  if (maxLength !== undefined && maxLength < minLength) {
    throw new SchemaError([...path, 'maxLength'], 'invalid', 'is less than minLength');
  }
  const unlimited = minLength === 0 && maxLength === undefined;
  const rule = unlimited
    ? writer.shared('string')
    : writer.add(`"\\"" ${characters(minLength, maxLength, writer)} "\\""`);
  return { rule, kind: 'string', children: [] };
}

function formatRule(format: string, node: SchemaNode, path: SchemaPath, writer: GrammarWriter): string {
  const body = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  if (body === undefined) {
    const known = Object.keys(FORMATS).join(', ');
    throw new SchemaError([...path, 'format'], 'unsupported', `'${format}' is not one of ${known}`);
  }
  const length = (['minLength', 'maxLength'] as const).find((keyword) => node[keyword] !== undefined);
  if (length !== undefined)
    throw new SchemaError([...path, length], 'unsupported', `cannot be held to beside 'format'`);
  return writer.add(`"\\"" (${body}) "\\""`);
}

/** From `minimum` to `maximum` characters. */
function characters(minimum: number, maximum: number | undefined, writer: GrammarWriter): string {
  const longRun = (): string => writer.add(writer.repeat('char', RUN, RUN));
  const exactly = (length: number): string[] => {
    const runs = Math.floor(length / RUN);
    return [
      ...(runs > 0 ? [writer.repeat(longRun(), runs, runs)] : []),
      writer.repeat('char', length % RUN, length % RUN),
    ];
  };
  const upTo = (length: number): string => {
    const runs = Math.floor(length / RUN);
    const rest = writer.repeat('char', 0, length % RUN);
    if (runs === 0) return rest;
    // Either not all runs and less than one, or all of them and the rest: no text is more than that.
    const run = longRun();
    return `(${writer.repeat(run, 0, runs - 1)} ${writer.repeat('char', 0, RUN - 1)} | ${writer.repeat(run, runs, runs)} ${rest})`;
  };
  const more = maximum === undefined ? 'char*' : upTo(maximum - minimum);
  return [...exactly(minimum), more].filter((part) => part !== '').join(' ');
}
