import { type LimitState, LimitUnit } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';

/** Units of which a request takes more, the longer its prompt is. */
const BY_PROMPT: ReadonlySet<LimitUnit> = new Set([
  LimitUnit.PROMPT_TOKENS,
  LimitUnit.TOKENS,
  LimitUnit.CONCURRENT_CONTEXT_TOKENS,
]);

/** The limit that a refusal names, the first of those that refuse. Undefined: it is no refusal by a limit. */
export function namedLimit({ metadata, limits }: MeshError): LimitState | undefined {
  return limits.find(({ limit }) => limit?.id === metadata.limit);
}

/** Whether a shorter prompt might have been admitted. */
export function isRefusedByPrompt(error: MeshError): boolean {
  return BY_PROMPT.has(namedLimit(error)?.limit?.unit ?? LimitUnit.UNSPECIFIED);
}
