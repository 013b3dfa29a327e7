import { refuseAmbiguity } from './ambiguity.ts';
import { arrayForm } from './array-form.ts';
import { constantForms } from './constant-forms.ts';
import { areDisjoint, type Form, formsOf, type Value } from './forms.ts';
import { createGrammarWriter } from './grammar-writer.ts';
import { numberForm } from './number-form.ts';
import { objectForm } from './object-form.ts';
import { otherConstraints, readNode, SchemaError, type SchemaNode, type SchemaPath } from './schema-node.ts';
import { resolveReference } from './schema-reference.ts';
import { typesOf } from './schema-types.ts';
import { stringForm } from './string-form.ts';

const MAX_DEPTH = 64;
const MAX_SCHEMAS = 2000;

const CHOICES = ['anyOf', 'oneOf', 'allOf'] as const;

/**
 * A JSON Schema → a grammar in llama.cpp's notation: whatever it accepts, the schema accepts. The opposite does not hold:
 * members come in the schema's order, white space is bounded, numbers have up to 15 digits.
 *
 * @throws SchemaError for what is no schema and, naming the keyword, for what an answer cannot be held to.
 */
export function schemaGrammar(schema: unknown): string {
  const writer = createGrammarWriter();
  const values: Value[] = [];
  const exclusive: (readonly Value[])[] = [];
  const referred = new Map<string, Value>();
  let depth = 0;
  let anything: Value | undefined;

  function newValue(path: SchemaPath): Value {
    if (values.length >= MAX_SCHEMAS) throw new SchemaError(path, 'unsupported', `is schema number ${MAX_SCHEMAS + 1}`);
    const value: Value = { rule: writer.name(), path, parts: [] };
    values.push(value);
    return value;
  }

  function convert(part: unknown, path: SchemaPath): Value {
    if (part === false) throw new SchemaError(path, 'invalid', 'allows no value at all');
    if (part === true) return anyValue();
    const value = newValue(path);
    fill(value, readNode(part, path));
    return value;
  }

  function fill(value: Value, node: SchemaNode): void {
    if (depth >= MAX_DEPTH) throw new SchemaError(value.path, 'unsupported', `is nested deeper than ${MAX_DEPTH}`);
    depth++;
    value.parts = partsOf(node, value.path);
    depth--;
  }

  function anyValue(): Value {
    if (anything === undefined) {
      anything = newValue([]);
      fill(anything, { type: ['object', 'array', 'string', 'number', 'boolean', 'null'] });
    }
    return anything;
  }

  function partsOf(node: SchemaNode, path: SchemaPath): readonly (Form | Value)[] {
    if (otherConstraints(node, []).length === 0) return [anyValue()];
    if (node.$ref !== undefined) {
      refuseBeside(node, ['$ref'], path);
      return [reference(node.$ref, [...path, '$ref'])];
    }
    const choice = CHOICES.find((keyword) => node[keyword] !== undefined);
    if (choice !== undefined) {
      refuseBeside(node, [choice], path);
      const branches = (node[choice] ?? []).map((branch, index) => convert(branch, [...path, choice, index]));
      if (choice === 'allOf' && branches.length > 1) {
        throw new SchemaError([...path, choice], 'unsupported', 'must have one schema only: merge them');
      }
      if (choice === 'oneOf') exclusive.push(branches);
      return branches;
    }
    const types = typesOf(node, path);
    if (node.enum !== undefined || 'const' in node) {
      refuseBeside(node, ['enum', 'const', 'type', 'nullable'], path);
      return constantForms(node, node.type === undefined ? undefined : types, path, writer);
    }
    const converter = { writer, convert };
    return types.map((type) => {
      if (type === 'object') return objectForm(node, path, converter);
      if (type === 'array') return arrayForm(node, path, converter);
      if (type === 'string') return stringForm(node, path, writer);
      if (type === 'boolean' || type === 'null') return { rule: writer.shared(type), kind: type, children: [] };
      return numberForm(node, type === 'integer', path, writer);
    });
  }

  function reference(pointer: string, path: SchemaPath): Value {
    const target = resolveReference(schema, pointer, path);
    const key = JSON.stringify(target.path);
    const known = referred.get(key);
    if (known !== undefined) return known;
    // Known before it is complete: it may refer to itself.
    const value = newValue(target.path);
    referred.set(key, value);
    if (typeof target.schema === 'boolean') value.parts = [convert(target.schema, target.path)];
    else fill(value, readNode(target.schema, target.path));
    return value;
  }

  const root = reference('#', []);
  refuseAmbiguity(values);
  for (const branches of exclusive) refuseOverlap(branches);
  for (const value of values) {
    const rules = new Set(formsOf(value).map((form) => form.rule));
    writer.write(value.rule, [...rules].join(' | '));
  }
  writer.write('root', root.rule);
  return writer.text();
}

function refuseBeside(node: SchemaNode, known: Parameters<typeof otherConstraints>[1], path: SchemaPath): void {
  const [other] = otherConstraints(node, known);
  if (other === undefined) return;
  throw new SchemaError(
    [...path, other],
    'unsupported',
    `this engine cannot hold an answer to it beside '${known[0]}'`,
  );
}

/** An answer must fit exactly one branch: no two may share a value. */
function refuseOverlap(branches: readonly Value[]): void {
  for (const [index, branch] of branches.entries()) {
    for (const other of branches.slice(index + 1)) {
      const otherForms = formsOf(other);
      if (formsOf(branch).every((form) => otherForms.every((another) => areDisjoint(form, another)))) continue;
      const message = `may fit what ${branch.path.join('.')} fits: use anyOf, or give each a required property with a const`;
      throw new SchemaError(other.path, 'unsupported', message);
    }
  }
}
