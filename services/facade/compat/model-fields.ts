import { z } from 'zod';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { HttpError } from '../http/http-error.ts';

/** A model as these routes name it. Its length is that of the contract. */
export const modelName = z.string().min(1).max(512);

/**
 * Any thrown value of a load or an unload → what these routes tell. A complaint about the contract's `model` names the field
 * as the body has it. A model that does not start is told with its cause, where generations have a text that clients know.
 */
export function asRouteError(error: unknown): Error {
  const known = asMeshError(error);
  const { reason, message, metadata, retryAfterMs = 1_000 } = known;
  if (reason === 'INVALID_FIELD' && metadata.field === 'model') {
    return invalidField('model_name', message.replace(/^model: /, ''));
  }
  if (reason !== 'NO_HEALTHY_ENGINE') return known;
  const headers = { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)), 'retry-after-ms': String(retryAfterMs) };
  return new HttpError(503, 'model_not_started', message, { headers });
}
