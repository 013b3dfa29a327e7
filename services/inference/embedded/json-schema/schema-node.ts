import { z } from 'zod';

/** A JSON Schema that this engine cannot hold an answer to. `path` names the keyword, e.g. `properties.age.pattern`. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly path: string;
  /** `unsupported`: it is a schema, but not one for this engine. */
  readonly kind: 'invalid' | 'unsupported';

  constructor(path: readonly (string | number)[], kind: 'invalid' | 'unsupported', message: string) {
    super(message);
    this.path = path.join('.');
    this.kind = kind;
  }
}

/** Where in a schema something stands, from its root. */
export type SchemaPath = readonly (string | number)[];

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

// Not z.record: a member may be called `__proto__`.
const members = z.custom<JsonObject>(isJsonObject, 'must be an object');
const subschema = z.unknown();
const subschemas = z.array(subschema).min(1);
const count = z.int().min(0);
const annotation = z.unknown();
const typeName = z.enum(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array']);
export type TypeName = z.output<typeof typeName>;

/** What says nothing about which values are allowed. */
const ANNOTATIONS = {
  $schema: annotation,
  $comment: annotation,
  title: annotation,
  description: annotation,
  default: annotation,
  example: annotation,
  examples: annotation,
  deprecated: annotation,
  readOnly: annotation,
  writeOnly: annotation,
  // OpenAPI's hint for readers; the branches say the same by `const`.
  discriminator: annotation,
  $defs: members,
  definitions: members,
};

const CONSTRAINTS = {
  $ref: z.string(),
  type: z.union([typeName, z.array(typeName).min(1)]),
  nullable: z.boolean(),
  enum: z.array(z.unknown()).min(1),
  const: z.unknown(),
  anyOf: subschemas,
  oneOf: subschemas,
  allOf: subschemas,
  properties: members,
  required: z.array(z.string()),
  additionalProperties: subschema,
  minProperties: count,
  maxProperties: count,
  items: subschema,
  prefixItems: subschemas,
  minItems: count,
  maxItems: count,
  uniqueItems: z.boolean(),
  minLength: count,
  maxLength: count,
  format: z.string(),
  minimum: z.number(),
  maximum: z.number(),
  exclusiveMinimum: z.number(),
  exclusiveMaximum: z.number(),
  multipleOf: z.number().gt(0),
};

const nodeSchema = z.strictObject({ ...ANNOTATIONS, ...CONSTRAINTS }).partial();
export type SchemaNode = z.output<typeof nodeSchema>;
export type Constraint = keyof typeof CONSTRAINTS;

/** Reads one schema object, its subschemas untouched. Throws SchemaError for a keyword that is unknown or malformed. */
export function readNode(value: unknown, path: SchemaPath): SchemaNode {
  if (!isJsonObject(value)) throw new SchemaError(path, 'invalid', 'must be a schema: an object, true or false');
  const isExtension = (key: string): boolean => key.startsWith('x-') || (key === '$id' && path.length === 0);
  const own = Object.fromEntries(Object.entries(value).filter(([key]) => !isExtension(key)));
  const result = nodeSchema.safeParse(own);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue?.code === 'unrecognized_keys') {
    const keyword = issue.keys[0] ?? '';
    throw new SchemaError([...path, keyword], 'unsupported', `this engine cannot hold an answer to '${keyword}'`);
  }
  const at = (issue?.path ?? []).map((part) => (typeof part === 'number' ? part : String(part)));
  throw new SchemaError([...path, ...at], 'invalid', issue?.message ?? 'is not valid');
}

/** The constraints that a node has beside `known`. */
export function otherConstraints(node: SchemaNode, known: readonly Constraint[]): readonly string[] {
  return Object.keys(node).filter((key) => key in CONSTRAINTS && !known.some((name) => name === key));
}
