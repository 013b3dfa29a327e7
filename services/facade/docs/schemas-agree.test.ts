import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { ENDPOINTS } from '../routes.ts';
import { openApiDocument } from './openapi.ts';

// What the document says of a body, and what the handler's schema says: they are asked the same.

const { components } = openApiDocument(ENDPOINTS, '1.2.3') as unknown as {
  components: { schemas: Record<string, Told> };
};

/** What the document says of a body: its fields, or the forms that it may have. */
interface Told {
  readonly properties?: Record<string, object>;
  readonly anyOf?: readonly Told[];
}

function fieldsOf(told: Told | undefined): string[] {
  const forms = told?.anyOf?.flatMap(fieldsOf) ?? [];
  return [...new Set([...Object.keys(told?.properties ?? {}), ...forms])];
}

const ajv = new Ajv2020({ strict: false, formats: { base64: true } });
ajv.addSchema({ $id: 'document', components });

/** Something of every kind, and of every size that matters. */
const VALUES = [
  ...[null, true, -1, 0, 0.5, 3, 2 ** 40],
  ...['', 'x', 'auto', 'x'.repeat(600)],
  ...[[], [1], ['x'], [{}], Array(200).fill('x'), Array(200).fill(1)],
  ...[{}, { x: 'y' }],
];

/** What the schema of a handler refuses for a reason that JSON Schema has no words for. */
const BEYOND: Readonly<Record<string, readonly unknown[]>> = {
  // Both only mean something together with another field.
  'ChatRequest.top_logprobs': [3],
  'ResponsesRequest.top_logprobs': [3],
};

const bodies = ENDPOINTS.flatMap(({ method, path, body }) =>
  body ? [[`${method} ${path}`, body, components.schemas[body.name]] as const] : [],
);

test.each(bodies)('%s', (_name, { name, schema, examples }, told) => {
  const isValid = ajv.getSchema(`document#/components/schemas/${name}`);
  const [example] = Object.values(examples);
  const disagreements: string[] = [];
  const fields = fieldsOf(told);
  for (const field of fields) {
    for (const value of VALUES) {
      const body = { ...example, [field]: value };
      const accepted = schema.safeParse(body).success;
      if (accepted !== isValid?.(body) && !BEYOND[`${name}.${field}`]?.includes(value)) {
        disagreements.push(`${field}: ${JSON.stringify(value).slice(0, 40)} is ${accepted ? 'accepted' : 'refused'}`);
      }
    }
    const { [field]: _, ...without } = example as Record<string, unknown>;
    if (schema.safeParse(without).success !== isValid?.(without)) disagreements.push(`${field} is missing`);
  }
  expect(fields.length).toBeGreaterThan(0);
  expect(disagreements).toEqual([]);
});
