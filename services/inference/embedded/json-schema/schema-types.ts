import { type Constraint, SchemaError, type SchemaNode, type SchemaPath, type TypeName } from './schema-node.ts';

/** Which types a constraint is about, for schemas that name none. */
const CONSTRAINTS_OF: Partial<Record<TypeName, readonly Constraint[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};

/** The types of the values to make, each once. A schema without a type gets those that its constraints are about. */
export function typesOf(node: SchemaNode, path: SchemaPath): readonly TypeName[] {
  if (node.nullable === true && node.type === undefined) {
    throw new SchemaError([...path, 'nullable'], 'unsupported', "needs a 'type' beside it");
  }
  if (node.type === undefined) {
    const types = Object.entries(CONSTRAINTS_OF) as [TypeName, readonly Constraint[]][];
    return types
      .filter(([, constraints]) => constraints.some((name) => node[name] !== undefined))
      .map(([type]) => type);
  }
  const types = new Set([node.type].flat());
  if (node.nullable === true) types.add('null');
  // Every whole number is a number.
  if (types.has('number')) types.delete('integer');
  return [...types];
}
