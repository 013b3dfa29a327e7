import { MeshError } from '../errors/mesh-error.ts';

/** Anything that looks headers up by name in any letter case: `Headers`, or an adapter over Node's. */
export interface HeaderLookup {
  get(name: string): string | null | undefined;
}

/**
 * The one credential of a call: `Authorization: Bearer <API key or token>` or `X-API-Key: <API key>`, equivalent
 * everywhere. Returns undefined when there is none.
 *
 * @throws MeshError CREDENTIAL_CONFLICT when two different ones are sent, CREDENTIAL_INVALID for another scheme.
 */
export function credentialOf(headers: HeaderLookup): string | undefined {
  const bearer = bearerToken(headers.get('authorization'));
  const apiKey = headers.get('x-api-key')?.trim() || undefined;
  if (bearer !== undefined && apiKey !== undefined && bearer !== apiKey) {
    throw new MeshError(
      'CREDENTIAL_CONFLICT',
      'The request carries two different credentials. Send either Authorization or X-API-Key.',
    );
  }
  return bearer ?? apiKey;
}

function bearerToken(header: string | null | undefined): string | undefined {
  if (!header) return undefined;
  const match = /^bearer +(\S+) *$/i.exec(header);
  if (!match) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
  return match[1];
}
