import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { ClaimInquiry, doesCount } from './claim-facts.ts';
import { ensureClaimsDirectory, readClaim, readProcesses, removeClaim } from './claim-file.ts';
import { ClaimsUnusableError, claimOf, type ForeignClaim } from './host-claims.ts';

/** Codes of files that no mesh makes: a link, or one that is not for all to read. */
const OTHERS_FILES = ['ELOOP', 'EACCES'];

/** What others claim: other meshes of this host, and other contexts in this process. */
export class ForeignClaims {
  readonly #directory: string;
  readonly #log: Logger;
  readonly #isOwn: (mark: string) => boolean;
  readonly #inquiry = new ClaimInquiry();
  readonly #unreadable = new Set<string>();
  #found: readonly ForeignClaim[] = [];
  #problem: string | undefined;
  #looks = 0;

  /** `isOwn` knows the marks of the claims that are this context's own. */
  constructor(directory: string, log: Logger, isOwn: (mark: string) => boolean) {
    this.#directory = directory;
    this.#log = log;
    this.#isOwn = isOwn;
  }

  /** Those of the last look. */
  get found(): readonly ForeignClaim[] {
    return this.#found;
  }

  /** Why they cannot be told, in words. Unset: they can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Looks at them, and removes what no longer counts.
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
      if (look === this.#looks) this.#found = found;
      this.#problem = undefined;
      return found;
    } catch (error) {
      const unusable = new ClaimsUnusableError(this.#directory, error);
      this.#problem = unusable.message;
      throw unusable;
    }
  }

  async #read(names: readonly string[]): Promise<ForeignClaim[]> {
    const claims: ForeignClaim[] = [];
    for (const name of names) claims.push(...(await this.#claimsIn(name)));
    return claims;
  }

  /** One, or none. */
  async #claimsIn(name: string): Promise<ForeignClaim[]> {
    const { owner, mark } = claimOf(name) ?? {};
    if (!owner || mark === undefined || this.#isOwn(mark)) return [];
    const path = join(this.#directory, name);
    const claim = this.#readable(path, readClaim);
    if (!claim) return [];
    const facts = await this.#inquiry.factsOf(owner, mark, claim);
    if (!doesCount(facts)) {
      if (facts.engineIsThere === false) this.#remove(path);
      return [];
    }
    const { shares, memory } = claim;
    const processIds = this.#readable(path, readProcesses) ?? [];
    const ownerHasEnded = facts.ownerIsAlive === false;
    return [{ mark, shares, memory, processIds, ownerProcessId: owner.processId, ownerHasEnded }];
  }

  /** Undefined: it is nothing that a mesh wrote. What keeps us from reading is thrown: who cannot look must not book. */
  #readable<T>(path: string, read: (path: string) => T): T | undefined {
    try {
      return read(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== undefined && !OTHERS_FILES.includes(code)) throw error;
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
