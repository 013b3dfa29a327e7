import type { MeshError } from '../../shared/errors/mesh-error.ts';
import { errorOfResponse, type OpenAiAnswer, unsupportedField } from './openai-errors.ts';
import { readToldError } from './told-error.ts';

/** '"m" does not support thinking', 'registry.ollama.ai/library/m:latest does not support tools', 'invalid think value: "max" (…)'. */
const UNSUPPORTED = /does not support (?<what>tools|thinking|chat|generate)\b|^(?<think>(?:invalid )?think value)\b/;

/**
 * What an error answer of Ollama means. What its model cannot do is told by the request's field; `thinkField` is the one
 * that asked for reasoning.
 */
export function ollamaError(engine: string, answer: OpenAiAnswer, thinkField: string): MeshError {
  const told = answer.status === 400 ? UNSUPPORTED.exec(readToldError(answer.body)?.message ?? '')?.groups : undefined;
  if (told?.think !== undefined || told?.what === 'thinking') return unsupportedField(engine, thinkField);
  switch (told?.what) {
    case 'tools':
      return unsupportedField(engine, 'tools');
    case 'chat':
      return unsupportedField(engine, 'messages', 'generation');
    case 'generate':
      return unsupportedField(engine, 'prompt', 'generation');
    default:
      return errorOfResponse(engine, answer);
  }
}
