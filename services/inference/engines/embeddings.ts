import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { EngineConnection, EngineEmbeddings } from './engine.ts';
import type { OpenAiConnection } from './openai-connection.ts';
import { engineFailed, errorOfResponse, unsupportedField } from './openai-errors.ts';
import { parseEngineJson, readToldError } from './told-error.ts';

type Embed = NonNullable<EngineConnection['embed']>;

/** A server of embeddings. */
export interface EmbeddingServer {
  /** The engine's name, for errors. */
  readonly engine: string;
  /** The model's name there. */
  readonly modelId: string;
}

/** `EngineConnection.embed` over /v1/embeddings, all inputs in one request. */
export function embedOverOpenAi(connection: OpenAiConnection, { engine, modelId }: EmbeddingServer): Embed {
  return async (inputs, dimensions, signal) => {
    const body = {
      model: modelId,
      input: embeddingInput(inputs, engine),
      encoding_format: 'float',
      ...(dimensions === undefined ? {} : { dimensions }),
    };
    const answer = await connection.answer('POST', connection.path('/embeddings'), signal, body);
    // No such route, unlike a route that knows no such model and says so.
    if (answer.status === 404 && !readToldError(answer.body)?.code) throw unsupportedField(engine, 'embeddings');
    if (answer.status !== 200) throw errorOfResponse(engine, answer);
    return readEmbeddings(parseEngineJson(answer.body), inputs.length, engine);
  };
}

/** The API takes a list of texts or a list of token lists, never both in one. */
function embeddingInput(inputs: readonly Prompt[], engine: string): readonly unknown[] {
  const values = inputs.map(({ input }, index) => {
    switch (input.case) {
      case 'text':
        return input.value;
      case 'tokenIds':
        return input.value.ids;
      case 'chat':
        throw unsupportedField(engine, `inputs.${index}.chat`);
      default:
        throw invalidField(`inputs.${index}`, 'is missing');
    }
  });
  const other = values.findIndex((value) => typeof value !== typeof values[0]);
  if (other !== -1) throw invalidField(`inputs.${other}`, 'must be a text or token ids like the first one');
  return values;
}

/** @throws MeshError ENGINE_FAILED for what is not `count` vectors. */
function readEmbeddings(answer: unknown, count: number, engine: string): EngineEmbeddings {
  const { data, usage } = (answer ?? {}) as {
    data?: { index?: unknown; embedding?: unknown }[];
    usage?: { prompt_tokens?: unknown } | null;
  };
  if (!Array.isArray(data)) throw engineFailed(engine, new Error(`not ${count} embeddings`));
  const vectors: (readonly number[])[] = new Array(count);
  for (const [at, item] of data.entries()) {
    const index = typeof item?.index === 'number' ? item.index : at;
    if (!isVector(item?.embedding)) throw engineFailed(engine, new Error('an embedding is no list of numbers'));
    vectors[index] = item.embedding;
  }
  if (vectors.length !== count || vectors.includes(undefined as never)) {
    throw engineFailed(engine, new Error('embeddings of the wrong inputs'));
  }
  return { vectors, promptTokens: typeof usage?.prompt_tokens === 'number' ? usage.prompt_tokens : 0 };
}

function isVector(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((component) => typeof component === 'number');
}
