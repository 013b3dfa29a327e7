/** What went wrong between two processes, by the codes of Node.js and OpenSSL → what to do about it. */
const FAILURES: readonly [RegExp, string][] = [
  [/^CERT_HAS_EXPIRED$/, 'its certificate has expired: make a new one'],
  [/^CERT_NOT_YET_VALID$/, 'its certificate is not valid yet: look at the clocks'],
  [/^INVALID_PURPOSE$/, 'its certificate must allow use as a server and as a client'],
  [
    /SELF_SIGNED|UNABLE_TO_|CERT_SIGNATURE|INVALID_CA|CERT_UNTRUSTED/,
    'its certificate is not of the authority in `ca`',
  ],
  [/^ERR_MESH_IDENTITY$/, 'its certificate does not name the role: wrong certificate or wrong address'],
  [/NO_CERTIFICATE|DID_NOT_RETURN_A_CERTIFICATE/, 'it shows no certificate: it needs server.mesh_tls too'],
  [/ALERT/, 'it refuses our certificate: its log says why'],
  [/WRONG_VERSION|PACKET_LENGTH|HTTP_REQUEST|PLAIN_TEXT/, 'it does not speak TLS: it needs server.mesh_tls too'],
  [/^ERR_TLS_HANDSHAKE_TIMEOUT$/, 'its handshake took too long'],
  [/^ERR_(SSL|TLS)_|^CERT_|^CRL_/, 'TLS failed'],
];

/** A failure of TLS between two processes. */
export interface TlsFailure {
  readonly code: string;
  /** What is wrong with the other side, and what to do. */
  readonly advice: string;
}

/** What TLS failure an error, or one that caused it, is; undefined when it is none. */
export function tlsFailureOf(error: unknown): TlsFailure | undefined {
  for (let current: unknown = error; current instanceof Error; current = current.cause) {
    const failure = 'code' in current ? tlsFailure(String(current.code)) : undefined;
    if (failure) return failure;
  }
  return undefined;
}

/** The same by its code. */
export function tlsFailure(code: string): TlsFailure | undefined {
  const found = FAILURES.find(([codes]) => codes.test(code));
  return found && { code, advice: found[1] };
}
