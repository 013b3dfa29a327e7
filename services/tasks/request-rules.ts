import type { GenerateRequest } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { invalidField, MeshError } from '../shared/errors/mesh-error.ts';

/**
 * Refuses what a task cannot keep: its result is one text.
 *
 * @throws MeshError UNSUPPORTED_FIELD or INVALID_FIELD.
 */
export function requireOneText(request: GenerateRequest): void {
  const { sampling, tools, continuation, contextTokens, prompt, morePrompts } = request;
  if (!prompt) throw invalidField('request.prompt', 'this field is required');
  if (continuation || contextTokens > 0) {
    throw invalidField('request.continuation', 'only processes of the mesh may set this and `context_tokens`');
  }
  if ((sampling?.choices ?? 1) > 1) throw unsupported('sampling.choices', 'a task has one result');
  if (morePrompts.length > 0) throw unsupported('more_prompts', 'a task has one prompt');
  if (tools.length > 0) throw unsupported('tools', 'the result of a task is a text');
  if (sampling?.logprobs) throw unsupported('sampling.logprobs', 'the result of a task is a text');
}

function unsupported(field: string, why: string): MeshError {
  const message = `request.${field}: ${why}. Use RouterService.Generate.`;
  return new MeshError('UNSUPPORTED_FIELD', message, { metadata: { field: `request.${field}` } });
}
