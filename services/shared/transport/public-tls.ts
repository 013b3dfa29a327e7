import type { Logger } from 'pino';
import { type CredentialFiles, openCredentialFiles } from './credential-files.ts';

/** The files of `server.tls`, PEM: the certificate with those between it and the authority, and its key. */
export interface PublicTlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** What the public port shows its callers. */
export type PublicTls = CredentialFiles<never>;

/**
 * Reads the files, and again whenever they change; what cannot be used then is logged and the old goes on.
 *
 * @throws ConfigError naming the field and what to do
 */
export function openPublicTls(files: PublicTlsFiles, log: Logger, lookMs?: number): PublicTls {
  return openCredentialFiles<never>({
    section: 'server.tls',
    paths: { cert: files.cert, key: files.key },
    log,
    lookMs,
  });
}
