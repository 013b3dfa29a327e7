import type { Form, JsonKind } from './forms.ts';
import type { GrammarWriter } from './grammar-writer.ts';
import { canonicalText, oneOfTexts } from './literals.ts';
import { SchemaError, type SchemaNode, type SchemaPath, type TypeName } from './schema-node.ts';

const MAX_CONSTANTS = 500;
const MAX_CHARACTERS = 64 * 1024;

/** The forms of `const` and `enum`: the values themselves, by kind. Values of another `type` than asked are left out. */
export function constantForms(
  node: SchemaNode,
  types: readonly TypeName[] | undefined,
  path: SchemaPath,
  writer: GrammarWriter,
): readonly Form[] {
  if ((node.enum?.length ?? 0) > MAX_CONSTANTS) {
    throw new SchemaError([...path, 'enum'], 'unsupported', `must have at most ${MAX_CONSTANTS} values`);
  }
  if (JSON.stringify([node.const, node.enum]).length > MAX_CHARACTERS) {
    throw new SchemaError(path, 'unsupported', `has constants of more than ${MAX_CHARACTERS} characters together`);
  }
  const only = 'const' in node ? canonicalText(node.const) : undefined;
  const values = (node.enum ?? [node.const])
    .filter((value) => types === undefined || types.some((type) => isOfType(value, type)))
    .filter((value) => only === undefined || canonicalText(value) === only);
  if (values.length === 0) throw new SchemaError(path, 'invalid', 'allows no value at all');
  return Array.from(Map.groupBy(values, kindOf), ([kind, ofKind]) => ({
    rule: writer.add(oneOfTexts(ofKind.map((value) => JSON.stringify(value)))),
    kind,
    children: [],
    literals: new Set(ofKind.map(canonicalText)),
  }));
}

function kindOf(value: unknown): JsonKind {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value as JsonKind;
}

function isOfType(value: unknown, type: TypeName): boolean {
  return type === 'integer' ? Number.isInteger(value) : kindOf(value) === type;
}
