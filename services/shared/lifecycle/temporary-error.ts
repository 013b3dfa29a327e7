/**
 * Something that a start needs cannot be had now and may be had later, e.g. a server does not answer. The process ends
 * with exit code 75. The message says what to do.
 */
export class TemporaryError extends Error {
  override readonly name = 'TemporaryError';
}
