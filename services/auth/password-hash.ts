/** An argon2id hash (version 19), taken apart. */
export interface Argon2idHash {
  readonly kind: 'argon2id';
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
  readonly salt: Uint8Array;
  readonly digest: Uint8Array;
}

/** A bcrypt hash, as imported users have it. */
export interface BcryptHash {
  readonly kind: 'bcrypt';
  readonly text: string;
}

/** What new hashes cost: the least that OWASP's password storage cheat sheet (2025) recommends for argon2id. */
export const ARGON2ID_COST = { memoryKib: 19_456, passes: 2, lanes: 1 } as const;

/** Bytes of salts and digests of new hashes. */
export const SALT_BYTES = 16;
export const DIGEST_BYTES = 32;

/** What one check may cost; a hash that asks for more could stop the mesh. */
const MAX_MEMORY_KIB = 262_144;
const MAX_PASSES = 16;
const MAX_LANES = 16;
const MAX_BCRYPT_COST = 15;

/** What a hash looks like, for messages. */
export const PASSWORD_HASH_FORM =
  '$argon2id$v=19$m=…,t=…,p=…$… of at most 256 MiB, or bcrypt $2a$ or $2b$ of at most cost 15';

const ARGON2ID =
  /^\$argon2id\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
const BCRYPT = /^\$2[ab]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** Takes a hash apart; undefined for anything that is none, or costs more than a check may. */
export function parsePasswordHash(text: string): Argon2idHash | BcryptHash | undefined {
  const bcrypt = BCRYPT.exec(text);
  if (bcrypt) {
    const cost = Number(bcrypt[1]);
    return cost >= 4 && cost <= MAX_BCRYPT_COST ? { kind: 'bcrypt', text } : undefined;
  }
  const match = ARGON2ID.exec(text);
  if (!match) return undefined;
  const [memoryKib = 0, passes = 0, lanes = 0] = match.slice(1, 4).map(Number);
  const isPossible = passes >= 1 && lanes >= 1 && memoryKib >= 8 * lanes;
  if (!isPossible || memoryKib > MAX_MEMORY_KIB || passes > MAX_PASSES || lanes > MAX_LANES) return undefined;
  const [salt, digest] = match.slice(4).map((part) => Buffer.from(part, 'base64'));
  return salt && digest && { kind: 'argon2id', memoryKib, passes, lanes, salt, digest };
}

/** The hash as text, in PHC form. */
export function formatArgon2id({ memoryKib, passes, lanes, salt, digest }: Omit<Argon2idHash, 'kind'>): string {
  const [saltText, digestText] = [salt, digest].map((bytes) =>
    Buffer.from(bytes).toString('base64').replace(/=+$/, ''),
  );
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${saltText}$${digestText}`;
}

/** Whether a hash is one that would be made today. */
export function isCurrentHash(text: string): boolean {
  const hash = parsePasswordHash(text);
  if (hash?.kind !== 'argon2id' || hash.digest.byteLength < DIGEST_BYTES) return false;
  const { memoryKib, passes, lanes } = ARGON2ID_COST;
  return hash.memoryKib === memoryKib && hash.passes === passes && hash.lanes === lanes;
}
