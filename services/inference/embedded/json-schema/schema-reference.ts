import { isJsonObject, SchemaError, type SchemaPath } from './schema-node.ts';

/** Where a reference within a schema points: `#` or a JSON pointer behind it. */
export type Target = { readonly schema: unknown; readonly path: SchemaPath };

/** @throws SchemaError for a reference out of the schema or to nothing. `path`: of the `$ref`. */
export function resolveReference(root: unknown, reference: string, path: SchemaPath): Target {
  if (reference !== '#' && !reference.startsWith('#/')) {
    throw new SchemaError(path, 'unsupported', 'must begin with "#": nothing outside this schema is read');
  }
  const steps = reference.slice(2).split('/').map(decodeStep);
  const target: string[] = reference === '#' ? [] : steps;
  let schema = root;
  for (const step of target) {
    const holder: unknown = schema;
    const isMember = (isJsonObject(holder) || Array.isArray(holder)) && Object.hasOwn(holder, step);
    if (!isMember) throw new SchemaError(path, 'invalid', 'points to nothing in this schema');
    schema = (holder as Readonly<Record<string, unknown>>)[step];
  }
  return { schema, path: target };
}

function decodeStep(step: string): string {
  const plain = step.replaceAll('~1', '/').replaceAll('~0', '~');
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain; // A percent sign that stands for itself.
  }
}
