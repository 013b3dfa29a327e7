import { expect, test } from 'vitest';
import { ollamaError } from './ollama-errors.ts';

const errorOf = (status: number, error: string) =>
  ollamaError('chat', { status, retryAfter: undefined, body: JSON.stringify({ error }) }, 'reasoning_effort');

test.each([
  ['registry.ollama.ai/library/m:latest does not support tools', 'tools'],
  ['"m" does not support thinking', 'reasoning_effort'],
  ['think value "low" is not supported for this model', 'reasoning_effort'],
  ['invalid think value: "max" (must be "high", "medium", "low", true, or false)', 'reasoning_effort'],
  ['"m" does not support chat', 'messages'],
  ['"m" does not support generate', 'prompt'],
])('%s', (text, field) => {
  expect(errorOf(400, text)).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'chat' } });
});

test('anything else is as from any server', () => {
  expect(errorOf(400, 'the input length exceeds the context length').reason).toBe('CONTEXT_LENGTH_EXCEEDED');
  expect(errorOf(500, '"m" does not support chat').reason).toBe('ENGINE_FAILED');
});
