import { join } from 'node:path';
import type { Logger } from 'pino';
import { ensureClaimsDirectory, removeClaim, renewClaim, writeClaim, writeProcesses } from './claim-file.ts';
import { type Claim, ClaimsUnusableError, claimName } from './host-claims.ts';

const RENEW_MS = 15_000;

/** What this mesh claims, as others see it. */
export class OwnClaims {
  readonly #directory: string;
  readonly #log: Logger;
  /** By mark. */
  readonly #published = new Map<string, Claim>();
  #renewal: NodeJS.Timeout | undefined;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
  }

  /** Whether others see a claim with this mark. */
  has(mark: string): boolean {
    return this.#published.has(mark);
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
    for (const [mark, claim] of [...this.#published]) {
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
    return join(this.#directory, claimName(mark));
  }
}
