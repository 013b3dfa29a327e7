import { createHmac, randomBytes } from 'node:crypto';
import { hashKey, isSameHash } from './api-key.ts';

/** A refresh token that is one of ours; it may be spent. */
export interface ParsedRefreshToken {
  readonly familyId: string;
  /** What the store knows it by, in hex. */
  readonly hash: string;
}

const PREFIX = 'rt_';

/** 128 bits, 22 characters. */
const FAMILY_BYTES = 16;
/** 256 bits. */
const SECRET_BYTES = 32;
/** 128 bits of HMAC-SHA-256. */
const MAC_BYTES = 16;

const LENGTH = PREFIX.length + Math.ceil(((FAMILY_BYTES + SECRET_BYTES + MAC_BYTES) * 4) / 3);

/** Makes a name for a family. */
export function createFamilyId(): string {
  return randomBytes(FAMILY_BYTES).toString('base64url');
}

/** Makes a token, `rt_<family, secret and check>`. */
export function createRefreshToken(familyId: string, pepper: Uint8Array): string {
  const body = Buffer.concat([Buffer.from(familyId, 'base64url'), randomBytes(SECRET_BYTES)]);
  return PREFIX + Buffer.concat([body, mac(body, pepper)]).toString('base64url');
}

/**
 * Takes a token apart. Undefined when we did not make it: the store is not asked, and nobody who merely knows the name of a
 * family can end it by presenting something made up.
 */
export function parseRefreshToken(token: string, pepper: Uint8Array): ParsedRefreshToken | undefined {
  if (token.length !== LENGTH || !token.startsWith(PREFIX)) return undefined;
  const text = token.slice(PREFIX.length);
  const bytes = Buffer.from(text, 'base64url');
  const body = bytes.subarray(0, -MAC_BYTES);
  if (bytes.toString('base64url') !== text || !isSameHash(mac(body, pepper), bytes.subarray(-MAC_BYTES))) {
    return undefined;
  }
  return { familyId: body.subarray(0, FAMILY_BYTES).toString('base64url'), hash: hashRefreshToken(token, pepper) };
}

/** What the store knows a token by, in hex. */
export function hashRefreshToken(token: string, pepper: Uint8Array): string {
  return hashKey(token, pepper).toString('hex');
}

/** Its own use of the pepper: no hash of a key can pass for one. */
function mac(body: Uint8Array, pepper: Uint8Array): Buffer {
  return createHmac('sha256', pepper)
    .update('inference-mesh refresh token')
    .update(body)
    .digest()
    .subarray(0, MAC_BYTES);
}
