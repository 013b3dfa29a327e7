import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { RevocationDelivery } from './revocation-delivery.ts';
import { PUBLISH_AHEAD_MS, signingKeySchedule } from './signing-key-schedule.ts';
import type { SigningKeySeal } from './signing-key-seal.ts';
import type { SigningKeyRecord, SigningKeySet, SigningKeyStore, TokenAlgorithm } from './store/signing-key-store.ts';

/** What signing keys are made with. */
export interface SigningKeyParts {
  readonly store: SigningKeyStore;
  readonly seal: SigningKeySeal;
  readonly revocations: Pick<RevocationDelivery, 'tell'>;
  readonly algorithm: TokenAlgorithm;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A key that is ready for use. */
export interface SigningKey {
  readonly kid: string;
  readonly algorithm: TokenAlgorithm;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** The keys that tokens are signed with. Every method may throw STORE_UNAVAILABLE. */
export interface SigningKeys {
  /** The one that signs now; the first and the next ones are made when they are due. @throws MeshError INTERNAL. */
  current(): Promise<SigningKey>;
  /** One that verifies now. It is read from the store each time, so that an ended one verifies nothing any more. */
  find(kid: string): Promise<SigningKey | undefined>;
  /** The public keys as JSON Web Key Set. */
  jwks(): Promise<string>;
  /** Makes the next key before it is due; the old one signs until the new one has been published long enough. */
  rotate(): Promise<NextSigningKey>;
  /**
   * Ends a key that somebody else may know, with its tokens, and makes another that signs at once. `kid` empty: ends all.
   *
   * @throws MeshError NOT_FOUND.
   */
  replaceLeaked(kid: string, cutRunningStreams: boolean): Promise<NextSigningKey>;
}

/** The newest key. */
export interface NextSigningKey extends Pick<SigningKeyRecord, 'kid' | 'signsFromMs'> {
  /** Whether everybody was told of what ended; else that is still to come. */
  readonly isTold: boolean;
}

/** Makes one change of the set from what is there; undefined: nothing is to be changed. */
type Change = (set: SigningKeySet, nowMs: number) => Promise<readonly SigningKeyRecord[] | undefined>;

/** How often a change is tried again because others were faster; each time, one of them has changed the set. */
const ATTEMPTS = 10;

/** Builds them. */
export function createSigningKeys(parts: SigningKeyParts): SigningKeys {
  const { store, seal, algorithm, now } = parts;
  // The id is the thumbprint of the key, so what it stands for never changes; a few keys a year are no leak.
  const opened = new Map<string, SigningKey>();

  function open(record: SigningKeyRecord): SigningKey | undefined {
    const known = opened.get(record.kid);
    if (known) return known;
    const privateKey = seal.open(record.sealed, record.kid);
    if (!privateKey) return undefined;
    const { kid, algorithm: its } = record;
    const key = { kid, algorithm: its, privateKey, publicKey: createPublicKey(privateKey) };
    opened.set(kid, key);
    return key;
  }

  async function make(publishedAtMs: number, signsFromMs: number): Promise<SigningKeyRecord> {
    const { privateKey, publicKey } = generatePair(algorithm);
    const kid = await calculateJwkThumbprint(await exportJWK(publicKey));
    return { kid, algorithm, sealed: seal.seal(privateKey, kid), publishedAtMs, signsFromMs };
  }

  async function change(work: Change): Promise<SigningKeySet> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const set = await store.load();
      const keys = await work(set, now());
      if (!keys) return set;
      const next = { version: set.version + 1, keys };
      if (await store.replace(next)) return next;
    }
    throw new MeshError('STORE_UNAVAILABLE', 'The signing keys are changed by others all the time. Try again.');
  }

  const addNext: Change = async ({ keys }, nowMs) => {
    const { published } = signingKeySchedule(keys, nowMs, algorithm);
    // Nobody can have a copy of a set without any key.
    const signsFromMs = keys.length === 0 ? nowMs : nowMs + PUBLISH_AHEAD_MS;
    return [...published, await make(nowMs, signsFromMs)];
  };

  const addDue: Change = async (set, nowMs) =>
    signingKeySchedule(set.keys, nowMs, algorithm).makeNextAtMs <= nowMs ? await addNext(set, nowMs) : undefined;

  return {
    async current() {
      const { keys } = await change(addDue);
      const { signs } = signingKeySchedule(keys, now(), algorithm);
      const key = signs && open(signs);
      if (!key) {
        throw new MeshError(
          'INTERNAL',
          'The signing key cannot be opened: the pepper is another one than it was made with.',
        );
      }
      return key;
    },
    async find(kid) {
      const { published } = signingKeySchedule((await store.load()).keys, now(), algorithm);
      const record = published.find((key) => key.kid === kid);
      return record && open(record);
    },
    async jwks() {
      const { keys } = await change(addDue);
      const { published } = signingKeySchedule(keys, now(), algorithm);
      const jwks = await Promise.all(published.flatMap((record) => open(record) ?? []).map(publicJwk));
      return JSON.stringify({ keys: jwks });
    },
    async rotate() {
      const set = await change(async (set, nowMs) => {
        const waits = set.keys.some((key) => key.signsFromMs > nowMs);
        return waits ? undefined : await addNext(set, nowMs);
      });
      return newestOf(set, true);
    },
    async replaceLeaked(kid, cutRunningStreams) {
      let ended: readonly SigningKeyRecord[] = [];
      const set = await change(async ({ keys }, nowMs) => {
        const { published } = signingKeySchedule(keys, nowMs, algorithm);
        ended = published.filter((key) => kid === '' || key.kid === kid);
        if (kid !== '' && ended.length === 0) throw noSuchKey(kid);
        return [...published.filter((key) => !ended.includes(key)), await make(nowMs, nowMs)];
      });
      const told = await Promise.all(
        ended.map(({ kid: id }) => parts.revocations.tell({ kind: 'signing-key', id, cutRunningStreams })),
      );
      return newestOf(set, told.every(Boolean));
    },
  };
}

function newestOf({ keys }: SigningKeySet, isTold: boolean): NextSigningKey {
  const newest = keys.at(-1);
  if (!newest) throw new MeshError('INTERNAL', 'A set of signing keys that was just changed is empty.');
  return { kid: newest.kid, signsFromMs: newest.signsFromMs, isTold };
}

function noSuchKey(kid: string): MeshError {
  const metadata = { kind: 'signing-key', id: kid };
  return new MeshError('NOT_FOUND', 'There is no such signing key; GetJwks names those that verify.', { metadata });
}

async function publicJwk({ kid, algorithm, publicKey }: SigningKey): Promise<JWK> {
  return { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
}

function generatePair(algorithm: TokenAlgorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  return algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
}
