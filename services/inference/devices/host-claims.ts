import { accessSync, constants, readdirSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { Logger } from 'pino';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { ownerName, ownerOf } from '../supervisor/process-owner.ts';
import { ClaimInquiry, doesCount } from './claim-facts.ts';
import {
  type ClaimedDevices,
  ensureClaimsDirectory,
  type FoundClaim,
  readClaim,
  readProcesses,
  removeClaim,
  renewClaim,
  writeClaim,
  writeProcesses,
} from './claim-file.ts';

/** Where all meshes of a host write theirs: the same for every user and service, and empty after a boot. */
const DEFAULT_DIRECTORY = '/dev/shm/inference-mesh';

const DIRECTORY_VARIABLE = 'MESH_DEVICE_CLAIMS_DIR';

const RENEW_MS = 15_000;

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

/**
 * What the meshes of this host claim of its devices: a file for each claim, "<owner>-<mark>.json", below one directory. Nobody
 * locks anything: who publishes a claim and only then looks at those of the others sees every one that was published
 * before and still stands. So of two that race at least the second sees the first.
 */
export class HostClaims {
  readonly #directory: string;
  readonly #log: Logger;
  readonly #owner = ownerName();
  readonly #inquiry = new ClaimInquiry();
  readonly #unreadable = new Set<string>();
  /** Ours by mark, as others see them. */
  readonly #published = new Map<string, Claim>();
  #others: readonly ForeignClaim[] = [];
  #problem: string | undefined;
  #looks = 0;
  #renewal: NodeJS.Timeout | undefined;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
  }

  /** The claims of others as of the last look. */
  get others(): readonly ForeignClaim[] {
    return this.#others;
  }

  /** Why they cannot be told, in words. Unset: they can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Looks at the claims of others, and removes what no longer counts.
   *
   * @throws ClaimsUnusableError, whose text is `problem` from then on.
   */
  async look(): Promise<readonly ForeignClaim[]> {
    this.#looks += 1;
    const look = this.#looks;
    try {
      ensureClaimsDirectory(this.#directory);
      accessSync(this.#directory, constants.R_OK | constants.W_OK | constants.X_OK);
      const found = await this.#read(readdirSync(this.#directory));
      // One that began later knows more.
      if (look === this.#looks) this.#others = found;
      this.#problem = undefined;
      return found;
    } catch (error) {
      const unusable = new ClaimsUnusableError(this.#directory, error);
      this.#problem = unusable.message;
      throw unusable;
    }
  }

  /**
   * Replaces what others see of this mesh.
   *
   * @throws ClaimsUnusableError; others may see some of it.
   */
  publish(claims: readonly Claim[]): void {
    const marks = new Set(claims.map(({ mark }) => mark));
    try {
      for (const mark of [...this.#published.keys()]) if (!marks.has(mark)) this.#withdraw(mark);
      for (const claim of claims) this.#show(claim);
    } catch (error) {
      throw new ClaimsUnusableError(this.#directory, error);
    } finally {
      if (this.#published.size === 0) this.close();
      else this.#renewal ??= setInterval(() => this.#renew(), RENEW_MS).unref();
    }
  }

  /** Ends the renewal. What is published counts until this process ends. */
  close(): void {
    clearInterval(this.#renewal);
    this.#renewal = undefined;
  }

  #show(claim: Claim): void {
    const before = this.#published.get(claim.mark);
    const path = this.#pathOf(claim.mark);
    if (!before) {
      ensureClaimsDirectory(this.#directory);
      writeClaim(path, claim);
      this.#published.set(claim.mark, { ...claim, processIds: [] });
    }
    if (claim.processIds.join() === (before?.processIds ?? []).join()) return;
    writeProcesses(path, claim.processIds);
    this.#published.set(claim.mark, claim);
  }

  #withdraw(mark: string): void {
    removeClaim(this.#pathOf(mark));
    this.#published.delete(mark);
  }

  #renew(): void {
    for (const [mark, claim] of this.#published) {
      try {
        // systemd empties /dev/shm of the files of a user who logs out.
        if (renewClaim(this.#pathOf(mark))) continue;
        this.#published.delete(mark);
        this.#show(claim);
      } catch (error) {
        this.#published.set(mark, claim);
        this.#log.error({ err: error }, 'other meshes of this host may not see what this one claims of the devices');
      }
    }
  }

  #pathOf(mark: string): string {
    return join(this.#directory, `${this.#owner}-${mark}.json`);
  }

  async #read(names: readonly string[]): Promise<ForeignClaim[]> {
    const claims: ForeignClaim[] = [];
    for (const name of names) {
      const [, ownersName = '', mark = ''] = /^(.+)-([0-9a-f]{32,})\.json$/.exec(name) ?? [];
      const owner = ownerOf(ownersName);
      if (!owner || this.#published.has(mark)) continue;
      const path = join(this.#directory, name);
      const claim = this.#readable(path, readClaim);
      if (!claim) continue;
      const facts = await this.#inquiry.factsOf(owner, mark, claim);
      if (doesCount(facts))
        claims.push(this.#foreign(mark, owner.processId, path, claim, facts.ownerIsAlive === false));
      else if (facts.engineIsThere === false) this.#remove(path);
    }
    return claims;
  }

  #foreign(
    mark: string,
    ownerProcessId: number,
    path: string,
    claim: FoundClaim,
    ownerHasEnded: boolean,
  ): ForeignClaim {
    const { shares, memory } = claim;
    const processIds = this.#readable(path, readProcesses) ?? [];
    return { mark, shares, memory, processIds, ownerProcessId, ownerHasEnded };
  }

  #readable<T>(path: string, read: (path: string) => T): T | undefined {
    try {
      return read(path);
    } catch (error) {
      if (!this.#unreadable.has(path)) this.#log.warn({ err: error }, 'a claim of another mesh cannot be read');
      this.#unreadable.add(path);
      return undefined;
    }
  }

  #remove(path: string): void {
    try {
      removeClaim(path);
    } catch (error) {
      // Another user's; whoever reads it sees that it does not count.
      this.#log.debug({ err: error }, 'the claim of a mesh that is gone cannot be removed');
    }
  }
}
