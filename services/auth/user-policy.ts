import { invalidField } from '../shared/errors/mesh-error.ts';

/** So few different characters are no password, however often they are repeated. */
const LEAST_CHARACTERS = 5;

/** Control characters, which no name has and which mislead whoever reads a log. */
const CONTROL = /\p{Cc}/u;

/**
 * Checks a new password beyond its length, which the contract states.
 *
 * @throws MeshError INVALID_FIELD.
 */
export function requireStrongPassword(field: string, password: string, userId: string): void {
  if (new Set(password).size < LEAST_CHARACTERS) {
    throw invalidField(field, `is too weak: use at least ${LEAST_CHARACTERS} different characters`);
  }
  // What remains beside the name would be too short to be one.
  if (password.toLowerCase().replaceAll(userId.toLowerCase(), '').length < LEAST_CHARACTERS) {
    throw invalidField(field, "is too weak: it is little more than the user's name");
  }
}

/**
 * Checks the name of a user or an organisation beyond its length, which the contract states.
 *
 * @throws MeshError INVALID_FIELD.
 */
export function requireName(field: string, name: string): void {
  if (CONTROL.test(name)) throw invalidField(field, 'has control characters');
}

/**
 * Checks that a tier exists; `tiers` unset: any does.
 *
 * @throws MeshError INVALID_FIELD.
 */
export function requireTier(tier: string, tiers: ReadonlySet<string> | undefined): void {
  if (tiers && !tiers.has(tier)) throw invalidField('tier', `there is no tier '${tier}'`);
}
