import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A key of ours, taken apart. */
export interface ParsedKey {
  /** The public id: it finds the record and is safe to log. */
  readonly keyId: string;
}

/** A key that was just made. */
export interface NewKey extends ParsedKey {
  /** The whole key, shown once. */
  readonly secret: string;
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** 71 bits: two keys with one id are refused by the store, but never happen. */
const ID_LENGTH = 12;

/** 256 bits. */
const SECRET_LENGTH = 43;

/** What 32 bits take in this alphabet. */
const CHECKSUM_LENGTH = 6;

const SHAPE = new RegExp(`^im_([0-9A-Za-z]{${ID_LENGTH}})_[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`);

/** Makes a key, `im_<public id>_<secret><checksum>`; with a given id, it is a new secret for that key. */
export function createKey(keyId = randomText(ID_LENGTH)): NewKey {
  const body = `im_${keyId}_${randomText(SECRET_LENGTH)}`;
  return { keyId, secret: body + checksum(body) };
}

/**
 * Takes a key of ours apart. Returns "malformed" when its checksum is wrong, so that no store is asked for a key that was
 * mistyped or made up, and undefined for a key of another form, e.g. an imported one.
 */
export function parseKey(credential: string): ParsedKey | 'malformed' | undefined {
  const keyId = SHAPE.exec(credential)?.[1];
  if (keyId === undefined) return undefined;
  const body = credential.slice(0, -CHECKSUM_LENGTH);
  return checksum(body) === credential.slice(-CHECKSUM_LENGTH) ? { keyId } : 'malformed';
}

/**
 * The public id of a key that was not made here, from its hash: so it is found by what is stored of it, and has an id that is
 * safe to show and that a new secret can carry.
 */
export function importedKeyId(hash: Uint8Array): string {
  let rest = Buffer.from(hash).readBigUInt64BE() * 2n ** 64n + Buffer.from(hash).readBigUInt64BE(8);
  let id = '';
  while (id.length < ID_LENGTH) {
    id += ALPHABET.charAt(Number(rest % BigInt(ALPHABET.length)));
    rest /= BigInt(ALPHABET.length);
  }
  return id;
}

/** What is stored of a key: HMAC-SHA-256 with the server's pepper. */
export function hashKey(credential: string, pepper: Uint8Array): Buffer {
  return createHmac('sha256', pepper).update(credential).digest();
}

/** Compares two hashes in constant time. */
export function isSameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}

/** Finds typing errors and inventions; it is no proof of anything. */
function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i += 1) {
    digits = ALPHABET.charAt(rest % ALPHABET.length) + digits;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits;
}

function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      // 248 is the largest multiple of 62 in a byte: what lies above would make some characters likelier.
      if (byte < 248 && text.length < length) text += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  return text;
}
