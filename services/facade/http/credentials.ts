import type { IncomingMessage } from 'node:http';
import { credentialOf, joinedHeader, requireNoKeyInUrl } from '../../shared/interceptors/credential.ts';

/**
 * The one credential of an HTTP request, from `Authorization: Bearer` or `X-API-Key`. Undefined when there is none.
 *
 * @throws MeshError CREDENTIAL_CONFLICT for two different ones, also in two headers of one name; INVALID_FIELD for one in the
 * URL.
 */
export function credentialOfRequest({
  rawHeaders,
  url,
}: Pick<IncomingMessage, 'rawHeaders' | 'url'>): string | undefined {
  requireNoKeyInUrl(url);
  return credentialOf({ get: (name) => joinedHeader(rawHeaders, name) });
}
