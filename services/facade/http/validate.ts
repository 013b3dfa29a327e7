import type { z } from 'zod';
import { invalidField, type MeshError } from '../../shared/errors/mesh-error.ts';

/** Most fields that the schema of a route does not know; they go to the engine. */
const MAX_EXTRA_FIELDS = 128;

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * Checks a parsed body against the schema of its route.
 *
 * @throws MeshError INVALID_FIELD that names the first field at fault, e.g. "messages.0.content".
 */
export function validBody<S extends z.ZodObject>(schema: S, body: unknown): z.output<S> {
  refuseExtraFields(schema.shape, body);
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw issue ? fieldError(issue, body) : invalidField('body', 'not accepted');
}

/** Before the schema, which would spend its time on each of them. */
function refuseExtraFields(known: object, body: unknown): void {
  if (typeof body !== 'object' || body === null) return;
  let extra = 0;
  for (const name of Object.keys(body)) {
    if (Object.hasOwn(known, name)) continue;
    extra += 1;
    if (extra > MAX_EXTRA_FIELDS) {
      throw invalidField(name.slice(0, 64), `one unknown field too many; at most ${MAX_EXTRA_FIELDS} are passed on`);
    }
  }
}

function fieldError(outer: Issue, body: unknown): MeshError {
  const { issue, path } = innermost(outer);
  if (path.length === 0) return invalidField('body', 'a JSON object is required');
  const field = path.map(String).join('.');
  if (valueAt(body, path) === undefined) return invalidField(field, 'this field is required');
  return invalidField(field, issue.message.replace(/^Invalid input: /, ''));
}

/** Follows the branch of a union that understood most of the value; its complaint is the useful one. */
function innermost(outer: Issue): { issue: Issue; path: Path } {
  let issue = outer;
  let path: Path = outer.path;
  while (issue.code === 'invalid_union') {
    const inner = deepest(issue.errors);
    if (!inner || inner.path.length === 0) break;
    issue = inner;
    path = [...path, ...inner.path];
  }
  return { issue, path };
}

function deepest(branches: readonly (readonly Issue[])[]): Issue | undefined {
  let best: Issue | undefined;
  for (const [first] of branches) if (first && first.path.length > (best?.path.length ?? -1)) best = first;
  return best;
}

function valueAt(body: unknown, path: Path): unknown {
  let value = body;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}
