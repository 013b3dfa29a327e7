import type { Form, JsonKind } from './forms.ts';
import type { GrammarWriter } from './grammar-writer.ts';
import { oneOfTexts } from './literals.ts';
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
  const values = node.enum ?? [node.const];
  const texts = new Map<JsonKind, Set<string>>();
  let characters = 0;
  for (const value of values) {
    if (types !== undefined && !types.some((type) => isOfType(value, type))) continue;
    if ('const' in node && JSON.stringify(value) !== JSON.stringify(node.const)) continue;
    const text = JSON.stringify(value);
    characters += text.length;
    if (characters > MAX_CHARACTERS) {
      throw new SchemaError(path, 'unsupported', `has constants of more than ${MAX_CHARACTERS} characters together`);
    }
    const kind = kindOf(value);
    texts.set(kind, (texts.get(kind) ?? new Set()).add(text));
  }
  if (texts.size === 0) throw new SchemaError(path, 'invalid', 'allows no value at all');
  return Array.from(texts, ([kind, literals]) => ({
    rule: writer.add(oneOfTexts(literals)),
    kind,
    children: [],
    literals,
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
