import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { PromptSchema } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import {
  type EmbedRequest,
  EmbedRequestSchema,
  type EmbedResponse,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import { type EmbeddingsBody, embeddingsBodySchema } from './embeddings-schema.ts';
import { engineOptionsOf } from './sampling.ts';

/**
 * The body of `POST /v1/embeddings` → the request to the router.
 *
 * @throws MeshError UNSUPPORTED_FIELD for a field that nobody knows: the contract carries none to the engine.
 */
export function embedRequest(body: EmbeddingsBody): EmbedRequest {
  for (const field of Object.keys(engineOptionsOf(body, embeddingsBodySchema.shape) ?? {})) {
    throw new MeshError('UNSUPPORTED_FIELD', `Embeddings have no field '${field}'.`, { metadata: { field } });
  }
  return create(EmbedRequestSchema, {
    model: body.model,
    inputs: inputsOf(body.input),
    dimensions: body.dimensions ?? undefined,
  });
}

type PromptInit = MessageInitShape<typeof PromptSchema>;

function inputsOf(input: EmbeddingsBody['input']): PromptInit[] {
  if (typeof input === 'string') return [textOf(input)];
  if (input.length === 0) throw invalidField('input', 'must not be empty');
  const numbers = input.filter((item) => typeof item === 'number');
  if (numbers.length > 0) return [tokensOf(numbers)];
  return input.map((item) => (typeof item === 'string' ? textOf(item) : tokensOf(Array.isArray(item) ? item : [])));
}

function textOf(value: string): PromptInit {
  return { input: { case: 'text', value } };
}

function tokensOf(ids: readonly number[]): PromptInit {
  return { input: { case: 'tokenIds', value: { ids: [...ids] } } };
}

/** The vectors → the body of the answer. `asked` is what the body says about it. */
export function embeddingsAnswer(
  { embeddings, promptTokens, modelId }: EmbedResponse,
  asked: Pick<EmbeddingsBody, 'model' | 'encoding_format'>,
): string {
  const encode = asked.encoding_format === 'base64' ? base64Of : shortest;
  return JSON.stringify({
    object: 'list',
    data: embeddings.map(({ values }, index) => ({ object: 'embedding', index, embedding: encode(values) })),
    model: asked.model || modelId,
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  });
}

/** 32-bit floats, little end first, whatever the machine has. */
function base64Of(values: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (let at = 0; at < values.length; at += 1) bytes.writeFloatLE(values[at] ?? 0, at * 4);
  return bytes.toString('base64');
}

/** A 32-bit float needs no more digits than these to come back as it was. */
function shortest(values: readonly number[]): number[] {
  return values.map((value) => Number(value.toPrecision(9)));
}

/** Any thrown value of the call → what this route tells: fields have the names of the body. */
export function asEmbeddingsError(error: unknown): MeshError {
  const known = asMeshError(error);
  const { reason, message, metadata, cause } = known;
  const { field = '' } = metadata;
  const renamed = field === 'embeddings' ? 'model' : field.replace(/^inputs/, 'input');
  if (renamed === field) return known;
  return new MeshError(reason, message.replace(field, renamed), { metadata: { ...metadata, field: renamed }, cause });
}
