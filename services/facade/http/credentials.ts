import type { IncomingMessage } from 'node:http';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { credentialOf } from '../../shared/interceptors/credential.ts';

/**
 * The one credential of an HTTP request, from `Authorization: Bearer` or `X-API-Key`. Undefined when there is none.
 *
 * @throws MeshError CREDENTIAL_CONFLICT for two different ones, also in two headers of one name.
 */
export function credentialOfRequest(request: Pick<IncomingMessage, 'rawHeaders'>): string | undefined {
  return credentialOf({ get: (name) => onlyValue(request.rawHeaders, name) });
}

/** rawHeaders, because Node keeps the first of two `Authorization` headers and says nothing of the second. */
function onlyValue(rawHeaders: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const header = rawHeaders[index];
    if (header === undefined || header.length !== name.length || header.toLowerCase() !== name) continue;
    const value = rawHeaders[index + 1];
    if (found !== undefined && found !== value) {
      throw new MeshError('CREDENTIAL_CONFLICT', `The request carries two different ${name} headers. Send one.`);
    }
    found = value;
  }
  return found;
}
