import { MeshError } from '../../shared/errors/mesh-error.ts';
import { chatBodySchema } from './chat-schema.ts';
import { engineOptionsOf } from './sampling.ts';
import { type SamplingFields, samplingFields } from './sampling-fields.ts';

/**
 * What a body of another API has in common with that of a chat, and what it has for the engine.
 *
 * @param known the shape of its schema.
 * @throws MeshError UNSUPPORTED_FIELD for a field of a chat that this API does not know: nobody has checked it.
 */
export function sharedFields(
  body: Partial<SamplingFields> & Pick<SamplingFields, 'model'>,
  known: Readonly<Record<string, unknown>>,
): Partial<SamplingFields> & Pick<SamplingFields, 'model'> {
  const extras = engineOptionsOf(body, known);
  for (const field of Object.keys(extras ?? {})) {
    if (!Object.hasOwn(chatBodySchema.shape, field)) continue;
    const message = `This route has no field '${field}', which is one of /v1/chat/completions.`;
    throw new MeshError('UNSUPPORTED_FIELD', message, { metadata: { field } });
  }
  const shared = Object.entries(body).filter(([name]) => Object.hasOwn(samplingFields, name));
  return { ...extras, ...Object.fromEntries(shared), model: body.model };
}
