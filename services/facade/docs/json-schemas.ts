import { z } from 'zod';

/** A JSON Schema (2020-12), as OpenAPI 3.1 has them. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Named zod schemas → JSON Schemas that refer to each other as components of an OpenAPI document: what a client may send, and of
 * answers what they have at least.
 *
 * @throws Error for a schema that JSON Schema has no words for.
 */
export function componentSchemas(named: ReadonlyMap<string, z.ZodType>): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of named) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { ...PARAMS, uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, bare(schema)]));
}

/** One zod schema → JSON Schema. */
export function inlineSchema(schema: z.ZodType): JsonSchema {
  return bare(z.toJSONSchema(schema, PARAMS));
}

const PARAMS = {
  io: 'input',
  // What is left of a check that comes before a schema because it is cheaper.
  unrepresentable: ({ zodSchema }) => (zodSchema._zod.def.type === 'custom' ? 'any' : 'throw'),
  // Such a check says nothing of the shape; the schema behind it does.
  override: ({ zodSchema, jsonSchema }) => {
    const { def } = zodSchema._zod;
    if (def.type !== 'pipe' || def.in._zod.def.type !== 'custom') return;
    const { $schema: _, ...behind } = z.toJSONSchema(def.out, PARAMS);
    Object.assign(jsonSchema, behind);
  },
} satisfies z.core.ToJSONSchemaParams as z.core.ToJSONSchemaParams & { io: 'input' };

function bare(schema: object): JsonSchema {
  const { $schema: _, $id: __, ...rest } = readable(schema) as Record<string, unknown>;
  return rest;
}

/** What zod writes as the ends of a range that has none. */
const NO_ENDS: ReadonlySet<unknown> = new Set([Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]);

/** The same schema in fewer words: `null` as one type of several, and no ends of ranges that have none. */
function readable(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(readable);
  if (typeof schema !== 'object' || schema === null) return schema;
  const told: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(schema)) {
    if ((name === 'minimum' || name === 'maximum') && NO_ENDS.has(value)) continue;
    told[name] = readable(value);
  }
  return withNullInside(told);
}

function withNullInside(schema: Record<string, unknown>): Record<string, unknown> {
  const { anyOf, ...rest } = schema;
  if (!Array.isArray(anyOf) || anyOf.length !== 2 || anyOf[1]?.type !== 'null') return schema;
  const [first] = anyOf;
  if (Array.isArray(first.anyOf)) return { ...first, anyOf: [...first.anyOf, anyOf[1]], ...rest };
  if (typeof first.type !== 'string' || 'const' in first) return schema;
  const values = Array.isArray(first.enum) ? { enum: [...first.enum, null] } : {};
  return { ...first, ...values, type: [first.type, 'null'], ...rest };
}
