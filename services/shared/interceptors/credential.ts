import { invalidField, MeshError } from '../errors/mesh-error.ts';

/** Anything that looks headers up by name in any letter case: `Headers`, or an adapter over Node's. */
export interface HeaderLookup {
  get(name: string): string | null | undefined;
}

/** Query parameters that elsewhere carry keys, in the small letters and without the signs that tell their writings apart. */
const KEY_PARAMETERS: ReadonlySet<string> = new Set(['apikey', 'xapikey', 'accesstoken', 'authorization']);

/**
 * The one credential of a call: `Authorization: Bearer <API key or token>` or `X-API-Key: <API key>`, equivalent
 * everywhere. Returns undefined when there is none.
 *
 * @throws MeshError CREDENTIAL_CONFLICT when two different ones are sent, CREDENTIAL_INVALID for another scheme.
 */
export function credentialOf(headers: HeaderLookup): string | undefined {
  const bearer = bearerToken(onlyValue(headers.get('authorization')));
  const apiKey = onlyValue(headers.get('x-api-key'));
  return sameCredential(bearer, apiKey);
}

/**
 * What two places say that may hold a credential.
 *
 * @throws MeshError CREDENTIAL_CONFLICT when they hold different ones.
 */
export function sameCredential(one: string | undefined, other: string | undefined): string | undefined {
  if (one !== undefined && other !== undefined && one !== other) throw credentialConflict();
  return one ?? other;
}

/**
 * Refuses a URL that carries a key: it would stand in the logs of every proxy, and a caller who is told learns that it does.
 *
 * @param except the one name that is taken there, as it must be written
 * @throws MeshError INVALID_FIELD.
 */
export function requireNoKeyInUrl(url: string | undefined, except?: string): void {
  const query = url?.indexOf('?') ?? -1;
  if (url === undefined || query < 0) return;
  for (const name of new URLSearchParams(url.slice(query)).keys()) {
    if (name === except || !KEY_PARAMETERS.has(name.toLowerCase().replaceAll(/[-_]/g, ''))) continue;
    // Not as it was written: that is a caller's text.
    throw invalidField('api_key', 'a key must not be in the URL; send it as Authorization: Bearer or X-API-Key');
  }
}

/**
 * All headers of one name (in small letters) as one, joined by ", ", out of what Node parsed: of several `Authorization` it
 * keeps the first itself and says nothing of the others.
 *
 * @param rawHeaders names and values by turns
 */
export function joinedHeader(rawHeaders: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const header = rawHeaders[index];
    if (header === undefined || header.length !== name.length || header.toLowerCase() !== name) continue;
    const value = rawHeaders[index + 1] ?? '';
    found = found === undefined ? value : `${found}, ${value}`;
  }
  return found;
}

/** Headers of one name arrive as one text, joined by ", ". No credential has a space. */
function onlyValue(header: string | null | undefined): string | undefined {
  if (!header?.includes(', ')) return header?.trim() || undefined;
  const [first, ...others] = header.split(', ').map((value) => value.trim());
  if (others.some((other) => other !== first)) throw credentialConflict();
  return first || undefined;
}

function credentialConflict(): MeshError {
  return new MeshError(
    'CREDENTIAL_CONFLICT',
    'The request carries two different credentials. Send either Authorization or X-API-Key.',
  );
}

function bearerToken(header: string | undefined): string | undefined {
  if (!header) return undefined;
  const match = /^bearer +(\S+) *$/i.exec(header);
  if (!match) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
  return match[1];
}
