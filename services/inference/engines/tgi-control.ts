import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { EngineProbe } from './engine.ts';
import { readMetrics, TGI_METRICS } from './metrics-names.ts';
import type { OpenAiConnection } from './openai-connection.ts';
import { engineFailed, unsupportedField } from './openai-errors.ts';
import { openAiMessages } from './openai-messages.ts';

/**
 * How TGI is.
 *
 * @throws MeshError ENGINE_BUSY while its health is 503, NO_HEALTHY_ENGINE.
 */
export async function probeTgi(connection: OpenAiConnection, signal: AbortSignal): Promise<EngineProbe> {
  await connection.json('GET', '/health', signal);
  const [info, metrics] = await Promise.all([
    connection.json('GET', '/info', signal),
    connection.answer('GET', '/metrics', signal),
  ]);
  const { model_id: modelId, max_total_tokens: contextTokens } = (info ?? {}) as {
    model_id?: unknown;
    max_total_tokens?: unknown;
  };
  return {
    modelId: typeof modelId === 'string' ? modelId : undefined,
    contextTokens: typeof contextTokens === 'number' ? contextTokens : undefined,
    ...readMetrics(metrics.body, TGI_METRICS),
  };
}

/**
 * The tokens of a prompt, a conversation through the model's template.
 *
 * @throws MeshError as EngineConnection.tokenize.
 */
export async function tgiTokens(
  engine: string,
  connection: OpenAiConnection,
  { input }: Prompt,
  signal: AbortSignal,
): Promise<readonly number[]> {
  switch (input.case) {
    case 'text':
      return tokenIds(engine, await connection.json('POST', '/tokenize', signal, { inputs: input.value }));
    case 'chat': {
      const body = { model: 'tgi', messages: openAiMessages(input.value) };
      const answer = await connection.json('POST', '/chat_tokenize', signal, body);
      return tokenIds(engine, (answer as { tokenize_response?: unknown } | undefined)?.tokenize_response);
    }
    case 'tokenIds':
      throw unsupportedField(engine, 'prompt');
    default:
      throw invalidField('prompt', 'is missing');
  }
}

/** `[{id, text, start, stop}]`. */
function tokenIds(engine: string, answer: unknown): readonly number[] {
  if (!Array.isArray(answer)) throw engineFailed(engine, new Error('no tokens in the answer'));
  return answer.map((token: { id?: unknown }) => Number(token.id));
}
