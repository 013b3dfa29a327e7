import { isAbsolute } from 'node:path';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { ownerName, ownerOf } from '../supervisor/process-owner.ts';
import type { ProcessIdentity } from '../supervisor/process-table.ts';
import type { ClaimedDevices } from './claim-file.ts';

/*
 * What the meshes of this host claim of its devices: a file for each claim, "<owner>-<mark>.json", below one directory. Nobody
 * locks anything: who publishes a claim and only then looks at those of the others sees every one that was published
 * before and still stands. So of two that race at least the second sees the first.
 */

/** Where all meshes of a host write theirs: the same for every user and service, and empty after a boot. */
const DEFAULT_DIRECTORY = '/dev/shm/inference-mesh';

const DIRECTORY_VARIABLE = 'MESH_DEVICE_CLAIMS_DIR';

/** What one start of an engine claims, for other meshes of the host to see. */
export interface Claim extends ClaimedDevices {
  /** The start's `MESH_ENGINE_MARK`. */
  readonly mark: string;
  /** Its processes, as far as its mesh knows them. */
  readonly processIds: readonly number[];
}

/** A claim of another mesh on this host, or of another context in this process. */
export interface ForeignClaim extends Claim {
  /** The process of that mesh. */
  readonly ownerProcessId: number;
  /** It is gone, and its engine may not be. */
  readonly ownerHasEnded: boolean;
}

/** The directory cannot be used, so nobody knows who else is on the devices. */
export class ClaimsUnusableError extends Error {
  constructor(directory: string, error: unknown) {
    const why = error instanceof Error ? error.message : String(error);
    super(
      `what other meshes of this host claim cannot be told (${why}). Make ${directory} writable, or set ` +
        `${DIRECTORY_VARIABLE} to a directory that every mesh of this host may write.`,
    );
    this.name = 'ClaimsUnusableError';
  }
}

/**
 * Where this host's meshes write their claims.
 *
 * @throws ConfigError when the environment names no absolute path.
 */
export function claimsDirectory(environmentVariable: (name: string) => string | undefined): string {
  const path = environmentVariable(DIRECTORY_VARIABLE) || DEFAULT_DIRECTORY;
  if (isAbsolute(path)) return path;
  throw new ConfigError(`${DIRECTORY_VARIABLE}: expected an absolute path, got ${JSON.stringify(path)}`);
}

/** The name of the file of a claim of this process. */
export function claimName(mark: string): string {
  return `${ownerName()}-${mark}.json`;
}

/** Whose claim a file of this name is. Undefined: it is none. */
export function claimOf(name: string): { readonly owner: ProcessIdentity; readonly mark: string } | undefined {
  const [, ownersName = '', mark = ''] = /^(.+)-([0-9a-f]{32,})\.json$/.exec(name) ?? [];
  const owner = ownerOf(ownersName);
  return owner && { owner, mark };
}
