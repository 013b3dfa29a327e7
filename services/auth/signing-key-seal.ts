import { createCipheriv, createDecipheriv, createPrivateKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Seals private keys for the store, which alone is then no use to anybody who reads or writes it. */
export interface SigningKeySeal {
  /** `kid` is sealed with it, so that no key takes the place of another. */
  seal(privateKey: KeyObject, kid: string): string;
  /** Undefined when it was sealed with another pepper or for another `kid`, or was changed. */
  open(sealed: string, kid: string): KeyObject | undefined;
}

/** Makes a seal with a key derived from the server's pepper; opens what was sealed with older ones too. */
export function createSigningKeySeal(pepper: Uint8Array, olderPeppers: readonly Uint8Array[] = []): SigningKeySeal {
  const key = keyOf(pepper);
  const keys = [key, ...olderPeppers.map(keyOf)];
  return {
    seal(privateKey, kid) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(kid));
      const body = cipher.update(privateKey.export({ format: 'der', type: 'pkcs8' }));
      return Buffer.concat([nonce, body, cipher.final(), cipher.getAuthTag()]).toString('base64url');
    },
    open(sealed, kid) {
      const bytes = Buffer.from(sealed, 'base64url');
      return keys.map((one) => unseal(bytes, kid, one)).find((privateKey) => privateKey !== undefined);
    },
  };
}

const keyOf = (pepper: Uint8Array): Buffer =>
  Buffer.from(hkdfSync('sha256', pepper, '', 'inference-mesh signing keys', 32));

function unseal(bytes: Buffer, kid: string, key: Buffer): KeyObject | undefined {
  try {
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(kid)).setAuthTag(bytes.subarray(-TAG_BYTES));
    const der = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } catch {
    // Which of the causes it is cannot be told.
    return undefined;
  }
}
