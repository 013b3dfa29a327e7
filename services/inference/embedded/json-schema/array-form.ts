import type { Form, Value } from './forms.ts';
import { MAX_REPETITION } from './grammar-writer.ts';
import type { SchemaConverter } from './object-form.ts';
import { SchemaError, type SchemaNode, type SchemaPath } from './schema-node.ts';

/** Arrays by `prefixItems`, `items`, `minItems` and `maxItems`. */
export function arrayForm(node: SchemaNode, path: SchemaPath, { writer, convert }: SchemaConverter): Form {
  const { minItems = 0, maxItems, uniqueItems, items = true } = node;
  for (const keyword of ['minItems', 'maxItems'] as const) {
    if ((node[keyword] ?? 0) > MAX_REPETITION) {
      throw new SchemaError([...path, keyword], 'unsupported', `must be at most ${MAX_REPETITION}`);
    }
  }
  if (uniqueItems === true && (maxItems === undefined || maxItems > 1)) {
    throw new SchemaError([...path, 'uniqueItems'], 'unsupported', 'this engine cannot hold an answer to it');
  }
  const prefix = (node.prefixItems ?? [])
    .slice(0, maxItems)
    .map((item, index) => convert(item, [...path, 'prefixItems', index]));
  const most = items === false ? prefix.length : maxItems;
  if (most !== undefined && most < minItems) throw new SchemaError(path, 'invalid', 'can never have minItems items');

  const more = most === prefix.length ? undefined : convert(items, [...path, 'items']);
  const least = Math.max(0, minItems - prefix.length);
  let rest = rests(more, prefix.length, least, most, writer);
  for (const [index, value] of [...prefix.entries()].toReversed()) {
    const comma = index === 0 ? '' : '"," ws ';
    const end = index === 0 ? '"]"' : 'ws "]"';
    rest = writer.add(`${comma}${value.rule} ${rest}${index >= minItems ? ` | ${end}` : ''}`);
  }
  const children = [...prefix, ...(more === undefined ? [] : [more])];
  return { rule: writer.add(`"[" ws ${rest}`), kind: 'array', children };
}

/** What follows `prefixLength` items: between `least` and `most` - `prefixLength` more of one kind, and the end. */
function rests(
  more: Value | undefined,
  prefixLength: number,
  least: number,
  most: number | undefined,
  writer: SchemaConverter['writer'],
): string {
  if (more === undefined) return prefixLength === 0 ? '"]"' : writer.add('ws "]"');
  const next = writer.add(`"," ws ${more.rule}`);
  const left = most === undefined ? undefined : most - prefixLength;
  if (prefixLength > 0) return writer.add(`${writer.repeat(next, least, left)} ws "]"`);
  const following = writer.repeat(next, Math.max(0, least - 1), left === undefined ? undefined : left - 1);
  const filled = `${more.rule} ${following} ws "]"`;
  return writer.add(least === 0 ? `${filled} | "]"` : filled);
}
