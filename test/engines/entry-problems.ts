// What the configuration says of an entry of `inference.models`.
import { modelEntrySchema } from '../../services/inference/engines/model-entry.ts';

/** Every problem of an entry as "field: message"; none: it is taken. */
export function entryProblems(entry: object): string[] {
  const result = modelEntrySchema.safeParse(entry);
  return (result.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}
