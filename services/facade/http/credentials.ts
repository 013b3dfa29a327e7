import type { IncomingMessage } from 'node:http';
import { credentialOf, joinedHeader, requireNoKeyInUrl, sameCredential } from '../../shared/interceptors/credential.ts';

/** The one name that a key in a URL may have. */
const KEY_PARAMETER = 'api_key';

/**
 * The one credential of an HTTP request, from `Authorization: Bearer` or `X-API-Key`, or from `?api_key=` where the route takes
 * it. Undefined when there is none.
 *
 * @throws MeshError CREDENTIAL_CONFLICT for two different ones, also in two headers of one name; INVALID_FIELD for one in the
 * URL of another route, or under another name.
 */
export function credentialOfRequest(
  { rawHeaders, url }: Pick<IncomingMessage, 'rawHeaders' | 'url'>,
  keyInUrl: boolean,
): string | undefined {
  requireNoKeyInUrl(url, keyInUrl ? KEY_PARAMETER : undefined);
  const inHeaders = credentialOf({ get: (name) => joinedHeader(rawHeaders, name) });
  if (!keyInUrl) return inHeaders;
  return [inHeaders, ...keysOf(url)].reduce(sameCredential, undefined);
}

function keysOf(url = ''): string[] {
  const query = url.indexOf('?');
  return query < 0 ? [] : new URLSearchParams(url.slice(query)).getAll(KEY_PARAMETER).filter(Boolean);
}
