import { describe, expect, test } from 'vitest';
import { asMeshError } from '../errors/connect-error.ts';
import { credentialOf, joinedHeader, requireNoKeyInUrl } from './credential.ts';

/** The credential of a request with these headers, or the reason why there is none. */
function found(...headers: readonly (readonly [string, string])[]): string | undefined {
  const raw = headers.flat();
  return reasonOf(() => credentialOf({ get: (name) => joinedHeader(raw, name) }));
}

function reasonOf(act: () => string | undefined): string | undefined {
  try {
    return act();
  } catch (error) {
    return asMeshError(error).reason;
  }
}

describe('the credential of a request', () => {
  test('both headers say the same, in any letter case', () => {
    expect(found(['Authorization', 'Bearer a'])).toBe('a');
    expect(found(['AUTHORIZATION', 'bEARER   a '])).toBe('a');
    expect(found(['x-Api-kEY', ' a '])).toBe('a');
    expect(found(['Authorization', 'Bearer a'], ['X-API-Key', 'a'])).toBe('a');
    expect(found(['Authorization', ''], ['X-API-Key', ' '])).toBeUndefined();
    expect(found(['Authorization', 'Basic YTpi'])).toBe('CREDENTIAL_INVALID');
  });

  test('two different ones are refused, in two headers of one name and in one header too', () => {
    expect(found(['Authorization', 'Bearer a'], ['X-API-Key', 'b'])).toBe('CREDENTIAL_CONFLICT');
    expect(found(['Authorization', 'Bearer a'], ['authorization', 'Bearer b'])).toBe('CREDENTIAL_CONFLICT');
    expect(found(['X-API-Key', 'a'], ['x-api-key', 'b'])).toBe('CREDENTIAL_CONFLICT');
    expect(found(['Authorization', 'Bearer a, Bearer b'])).toBe('CREDENTIAL_CONFLICT');
    expect(found(['Authorization', 'Bearer a'], ['authorization', 'Bearer a'])).toBe('a');
    expect(found(['X-API-Key', 'a'], ['x-api-key', 'a'])).toBe('a');
  });

  test.each(['api_key', 'API-Key', 'apikey', 'x-api-key', 'access_token', 'Authorization', 'api%5Fkey'])(
    'one in the URL is refused: ?%s=',
    (name) => {
      expect(reasonOf(() => void requireNoKeyInUrl(`/v1/models?a=b&${name}=secret`))).toBe('INVALID_FIELD');
      expect(() => requireNoKeyInUrl(`/v1/models?${name}=secret`)).not.toThrow(/secret/);
    },
  );

  test('other parameters, and that text in a path, are nothing of the kind', () => {
    for (const url of [undefined, '/v1/models', '/v1/models/api_key=1', '/v1/models?key=1&q=api_key', '/?', '']) {
      expect(() => requireNoKeyInUrl(url)).not.toThrow();
    }
  });
});
