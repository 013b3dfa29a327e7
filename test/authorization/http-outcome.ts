import type { RawAnswer } from './wire.ts';

/**
 * What became of an HTTP request: UNAUTHENTICATED, DENIED, CREDENTIAL_CONFLICT, KEY_IN_URL, BAD_REQUEST without a body, NOT_SERVED,
 * a server error by its status, else ADMITTED. Undefined: the machine was too busy to decide.
 */
export function httpOutcome({ status, body }: RawAnswer): string | undefined {
  const text = body.toString();
  if (status === 401) return 'UNAUTHENTICATED';
  if (status === 403) return 'DENIED';
  if (status === 400 && text === '') return 'BAD_REQUEST';
  if (status === 400 && text.includes('two different credentials')) return 'CREDENTIAL_CONFLICT';
  if (status === 400 && text.includes('"api_key: ')) return 'KEY_IN_URL';
  if (status === 404 && text.includes('no such route')) return 'NOT_SERVED';
  if (status === 503 && text.includes('does not answer')) return undefined;
  return status === 500 || status === 502 ? `${status} ${text}` : 'ADMITTED';
}
