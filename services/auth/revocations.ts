/** What no longer counts. */
export type Revocation = {
  readonly kind: 'key' | 'user' | 'signing-key';
  /** The id of a key or a token, the name of a user with all keys and tokens, or the id of a signing key. */
  readonly id: string;
  /** Also ends the streams that run with it. */
  readonly cutRunningStreams: boolean;
};

/** How revocations reach every cache of verified principals. */
export interface Revocations {
  /**
   * Tells everybody who watches, in this process and in others that share the store. Resolves when it is stored.
   *
   * @throws MeshError STORE_UNAVAILABLE.
   */
  publish(revocation: Revocation): Promise<void>;
  /** Calls listener with each from now on; `onBroken` when some may have been missed. Returns what ends it. */
  watch(listener: (revocation: Revocation) => void, onBroken: () => void): () => void;
}
