import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { EngineProbe } from './engine.ts';
import { LLAMA_SERVER_METRICS, readMetrics } from './metrics-names.ts';
import type { OpenAiConnection } from './openai-connection.ts';
import { engineFailed } from './openai-errors.ts';
import { openAiMessages, refuseUnsupportedChat } from './openai-messages.ts';

/** The engine as errors name it, and what it can. */
interface Named {
  readonly engine: string;
  readonly capabilities: EngineCapabilities;
}

/**
 * The tokens of a prompt, as the generation routes of llama-server see it: a conversation through the model's template,
 * the start token in front of both.
 *
 * @throws MeshError as EngineConnection.tokenize.
 */
export async function llamaServerTokens(
  { engine, capabilities }: Named,
  connection: OpenAiConnection,
  { input }: Prompt,
  signal: AbortSignal,
): Promise<readonly number[]> {
  let content: unknown;
  switch (input.case) {
    case 'tokenIds':
      return input.value.ids;
    case 'text':
      content = input.value;
      break;
    case 'chat': {
      refuseUnsupportedChat(input.value, capabilities, engine);
      const { templateOptions } = input.value;
      const body = {
        messages: openAiMessages(input.value),
        ...(templateOptions ? { chat_template_kwargs: templateOptions } : {}),
      };
      const answer = await connection.json('POST', '/apply-template', signal, body);
      content = (answer as { prompt?: unknown } | undefined)?.prompt;
      break;
    }
    default:
      throw invalidField('prompt', 'is missing');
  }
  // As its generation routes do with both.
  const answer = await connection.json('POST', '/tokenize', signal, { content, add_special: true });
  const tokens = (answer as { tokens?: unknown } | undefined)?.tokens;
  if (!Array.isArray(tokens)) throw engineFailed(engine, new Error('no tokens in the answer'));
  return tokens as number[];
}

/**
 * How llama-server is.
 *
 * @throws MeshError ENGINE_BUSY while it loads: 503 "Loading model"; NO_HEALTHY_ENGINE.
 */
export async function probeLlamaServer(connection: OpenAiConnection, signal: AbortSignal): Promise<EngineProbe> {
  await connection.json('GET', '/health', signal);
  const [models, properties, metrics] = await Promise.all([
    connection.json('GET', connection.path('/models'), signal),
    connection.json('GET', '/props', signal),
    connection.answer('GET', '/metrics', signal),
  ]);
  const { data } = (models ?? {}) as { data?: { id?: unknown }[] };
  const { default_generation_settings: settings } = (properties ?? {}) as {
    default_generation_settings?: { n_ctx?: unknown };
  };
  return {
    modelId: typeof data?.[0]?.id === 'string' ? data[0].id : undefined,
    contextTokens: typeof settings?.n_ctx === 'number' ? settings.n_ctx : undefined,
    ...readMetrics(metrics.body, LLAMA_SERVER_METRICS),
  };
}
