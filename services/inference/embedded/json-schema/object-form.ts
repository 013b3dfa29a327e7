import type { Form, Value } from './forms.ts';
import { type GrammarWriter, quoted } from './grammar-writer.ts';
import { noneOfNames } from './literals.ts';
import { type JsonObject, SchemaError, type SchemaNode, type SchemaPath } from './schema-node.ts';

/** Each may open a choice of its own after every member. */
const MAX_PROPERTIES = 200;
const MAX_NAME_CHARACTERS = 256;

export type SchemaConverter = {
  readonly writer: GrammarWriter;
  convert(schema: unknown, path: SchemaPath): Value;
};

type Property = { readonly name: string; readonly value: Value; readonly isRequired: boolean };

/**
 * Objects whose members come in the order of `properties`, optional ones being left out or not. Other members are made
 * only where `additionalProperties` says so.
 */
export function objectForm(node: SchemaNode, path: SchemaPath, { writer, convert }: SchemaConverter): Form {
  const declared: JsonObject = node.properties ?? {};
  const required = new Set(node.required ?? []);
  const { additionalProperties: additional = node.properties === undefined } = node;
  const properties: Property[] = [];
  const add = (name: string, schema: unknown, at: SchemaPath): void => {
    if (schema === false && !required.has(name)) return;
    if (name.length > MAX_NAME_CHARACTERS || properties.length === MAX_PROPERTIES) {
      const limits = `${MAX_PROPERTIES} properties with names of ${MAX_NAME_CHARACTERS} characters`;
      throw new SchemaError([...path, 'properties'], 'unsupported', `has more than ${limits}`);
    }
    properties.push({ name, value: convert(schema, at), isRequired: required.has(name) });
  };
  for (const [name, schema] of Object.entries(declared)) add(name, schema, [...path, 'properties', name]);
  for (const name of required) {
    if (!Object.hasOwn(declared, name)) add(name, additional, [...path, 'additionalProperties']);
  }
  refuseCounts(node, properties, additional !== false, path);

  const other = additional === false ? undefined : convert(additional, [...path, 'additionalProperties']);
  const rule = writer.name();
  const ends = endings(properties, other, writer);
  writer.write(rule, `"{" ws ${members(properties, ends, writer)}`);
  const [first] = properties;
  return {
    rule,
    kind: 'object',
    children: [...properties.map(({ value }) => value), ...(other === undefined ? [] : [other])],
    required: new Map(properties.filter(({ isRequired }) => isRequired).map(({ name, value }) => [name, value])),
    ...(first?.isRequired ? { firstMember: first.name } : {}),
  };
}

/** The rest of an object when no member was written yet, and after one. */
type Endings = { readonly empty: string; readonly begun: string };

function endings(properties: readonly Property[], other: Value | undefined, writer: GrammarWriter): Endings {
  if (other === undefined) return { empty: '"}"', begun: 'ws "}"' };
  // A name that needs an escape is never written by the rule for other names.
  const names = properties.map(({ name }) => name).filter((name) => JSON.stringify(name) === `"${name}"`);
  const name = properties.length === 0 ? writer.shared('string') : writer.add(`"\\"" ${noneOfNames(names)} "\\""`);
  const member = writer.add(`${name} ":" sp ${other.rule}`);
  return { empty: `(${member} ("," ws ${member})* ws)? "}"`, begun: `("," ws ${member})* ws "}"` };
}

/** The rule for the members and the end, built from the last property to the first. */
function members(properties: readonly Property[], ends: Endings, writer: GrammarWriter): string {
  let empty = writer.add(ends.empty);
  let begun = writer.add(ends.begun);
  for (const { name, value, isRequired } of properties.toReversed()) {
    const member = `${quoted(`${JSON.stringify(name)}:`)} sp ${value.rule} ${begun}`;
    const next = begun;
    begun = writer.add(`"," ws ${member}${isRequired ? '' : ` | ${next}`}`);
    empty = writer.add(`${member}${isRequired ? '' : ` | ${empty}`}`);
  }
  return empty;
}

function refuseCounts(node: SchemaNode, properties: readonly Property[], isOpen: boolean, path: SchemaPath): void {
  const { minProperties = 0, maxProperties = Infinity } = node;
  const refuse = (keyword: string): never => {
    throw new SchemaError([...path, keyword], 'unsupported', 'this engine cannot hold an answer to it');
  };
  if (minProperties > properties.filter(({ isRequired }) => isRequired).length) refuse('minProperties');
  if (isOpen ? maxProperties !== Infinity : maxProperties < properties.length) refuse('maxProperties');
}
