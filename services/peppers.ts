import { join } from 'node:path';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { readSecret } from './shared/lifecycle/secret-file.ts';

/** What secrets are hashed with. */
export interface Peppers {
  readonly pepper: Buffer;
  /** What they may have been hashed with before. */
  readonly olderPeppers: readonly Buffer[];
}

/** Where they are. */
export interface PepperFiles {
  readonly server: { readonly data_dir: string };
  /** Unset: in the data directory. */
  readonly pepperFile: string | undefined;
  readonly olderPepperFiles: readonly string[];
}

/**
 * Reads them. One that nobody named is made in the data directory.
 *
 * @throws ConfigError for a file that cannot be read or is too short, and for a pepper that is named twice.
 */
export function readPeppers({ server, pepperFile, olderPepperFiles }: PepperFiles): Peppers {
  const pepper = readSecret(pepperFile ?? join(server.data_dir, 'pepper'), { create: pepperFile === undefined });
  const older = olderPepperFiles.map((path) => readSecret(path, { create: false }));
  const all = [pepper, ...older];
  const twice = all.findIndex((one, index) => all.indexOf(one) < index);
  if (twice > 0) {
    throw new ConfigError(
      `MESH_OLDER_PEPPER_FILES: ${olderPepperFiles[twice - 1]} holds the present pepper or one that is named before it; each must be another`,
    );
  }
  return { pepper: Buffer.from(pepper), olderPeppers: older.map((one) => Buffer.from(one)) };
}
