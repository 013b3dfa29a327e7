import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { ConfigError } from '../lifecycle/config-source.ts';

/** How often files are looked at, in milliseconds, where nothing else is said. */
const LOOK_MS = 5_000;

/** PEM files, field of the configuration → content. `cert` has the certificate and those between it and the authority. */
export type Credentials<Field extends string> = Readonly<Record<Field | 'cert' | 'key', Buffer>>;

/** PEM files that may be exchanged while the process runs. */
export interface CredentialFiles<Field extends string> {
  /** For the next connection; those that are open go on with theirs. */
  readonly credentials: Credentials<Field>;
  /** Calls back whenever the credentials have changed. */
  onChange(listener: () => void): void;
  /** No longer looks at the files. */
  close(): void;
}

/** What to read, and who says whether it can be used. */
export interface CredentialFilesOptions<Field extends string> {
  /** Where the files are named, e.g. "server.tls"; errors say it. */
  readonly section: string;
  readonly paths: Readonly<Record<Field | 'cert' | 'key', string>>;
  /** Throws what speaks against a certificate beyond its pair and its time, by `refuse`. */
  readonly check?: (credentials: Credentials<Field>, certificate: X509Certificate, refuse: Refuse<Field>) => void;
  readonly log: Logger;
  /** How often the files are looked at, in milliseconds; default 5,000. */
  readonly lookMs?: number | undefined;
}

/** Makes the error of one field, e.g. "server.tls.cert: expired". */
export type Refuse<Field extends string> = (field: Field | 'cert' | 'key', what: string) => ConfigError;

/**
 * Reads the files, and again whenever they change; what cannot be used then is logged and the old goes on.
 *
 * @throws ConfigError naming the field and what to do
 */
export function openCredentialFiles<Field extends string>(
  options: CredentialFilesOptions<Field>,
): CredentialFiles<Field> {
  const { section, log, lookMs = LOOK_MS } = options;
  let seen = read(options);
  let credentials = checked(seen, options);
  const listeners: (() => void)[] = [];
  // By what is in them: mounted secrets are links that are exchanged, and events and times of files may be missed.
  const timer = setInterval(look, lookMs).unref();

  function look(): void {
    try {
      const found = read(options);
      if (isEqual(found, seen)) return;
      seen = found;
      credentials = checked(found, options);
    } catch (error) {
      // One file may be written before the other.
      log.error({ err: error }, `the changed files of ${section} are not used`);
      return;
    }
    for (const changed of listeners) changed();
    log.info(`the files of ${section} were read again`);
  }

  return {
    get credentials() {
      return credentials;
    },
    onChange: (listener) => void listeners.push(listener),
    close: () => clearInterval(timer),
  };
}

/** Runs a step that fails where a field is wrong. */
export function attempt<Field extends string, T>(
  refuse: Refuse<Field>,
  field: Field | 'cert' | 'key',
  what: string,
  run: () => T,
): T {
  try {
    return run();
  } catch (error) {
    throw refuse(field, `${what} (${error instanceof Error ? error.message : String(error)})`);
  }
}

function read<Field extends string>({ paths, section }: CredentialFilesOptions<Field>): Credentials<Field> {
  const fields = Object.keys(paths) as (Field | 'cert' | 'key')[];
  const bytes = fields.map((field) => [
    field,
    attempt(refuseIn<Field>(section), field, `${paths[field]} cannot be read`, () => readFileSync(paths[field])),
  ]);
  return Object.fromEntries(bytes);
}

function isEqual<Field extends string>(one: Credentials<Field>, other: Credentials<Field>): boolean {
  const fields = Object.keys(one) as (keyof typeof one)[];
  return fields.every((field) => one[field].equals(other[field]));
}

/** The same, once a process can use them. */
function checked<Field extends string>(
  credentials: Credentials<Field>,
  { section, check }: CredentialFilesOptions<Field>,
): Credentials<Field> {
  const refuse = refuseIn<Field>(section);
  const { cert, key } = credentials;
  const certificate = attempt(refuse, 'cert', 'is no certificate in PEM', () => new X509Certificate(cert));
  const privateKey = attempt(refuse, 'key', 'is no private key in PEM without a password', () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) throw refuse('key', 'is not the key of the certificate in `cert`');
  const endsAt = certificate.validToDate;
  if (endsAt.getTime() < Date.now()) throw refuse('cert', `expired at ${endsAt.toISOString()}: make a new one`);
  check?.(credentials, certificate, refuse);
  attempt(refuse, 'cert', 'cannot be used', () => createSecureContext({ ...credentials }));
  return credentials;
}

function refuseIn<Field extends string>(section: string): Refuse<Field> {
  return (field, what) => new ConfigError(`${section}.${field}: ${what}`);
}
