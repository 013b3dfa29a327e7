import { setTimeout as delay } from 'node:timers/promises';
import { isOwnerAlive } from '../supervisor/process-owner.ts';
import { type ProcessIdentity, processesWithMark } from '../supervisor/process-table.ts';
import { type FoundClaim, pidNamespace } from './claim-file.ts';

/** How old a claim may be whose mesh or engine cannot be looked for, in milliseconds; its mesh renews it four times meanwhile. */
const BELIEVED_MS = 60_000;

/** How long a look for engines may take, in milliseconds; it hangs with a process that hangs in a driver. */
const LOOK_LIMIT_MS = 2_000;

/** A process that begins a program shows no environment for a moment: several looks must find nothing. */
const EMPTY_LOOKS = 3;
const LOOK_AGAIN_MS = 20;

/** What is known of a claim. */
export interface ClaimFacts {
  /** Undefined: it cannot be looked for, as in another container. */
  readonly ownerIsAlive: boolean | undefined;
  /** Undefined: nobody asked, because the owner is alive, or they cannot be looked for, as those of another user. */
  readonly engineIsThere: boolean | undefined;
  /** Since it was last renewed, in milliseconds. */
  readonly ageMs: number;
}

/** Whether a claim counts. Pure. */
export function doesCount({ ownerIsAlive, engineIsThere, ageMs }: ClaimFacts): boolean {
  if (ownerIsAlive === true) return true;
  if (ownerIsAlive === false && engineIsThere !== undefined) return engineIsThere;
  return ageMs <= BELIEVED_MS;
}

/** Finds out about claims. */
export class ClaimInquiry {
  #looking: Promise<boolean> | undefined;

  async factsOf(owner: ProcessIdentity, mark: string, claim: FoundClaim): Promise<ClaimFacts> {
    const isNear = claim.pidNamespace === pidNamespace();
    const ownerIsAlive = isNear ? isOwnerAlive(owner) : undefined;
    const engineIsThere = ownerIsAlive === false ? await this.#findEngine(mark, claim.userId) : undefined;
    return { ownerIsAlive, engineIsThere, ageMs: Date.now() - claim.renewedAtMs };
  }

  /** Undefined: the environment of another user's processes cannot be read. */
  async #findEngine(mark: string, userId: number): Promise<boolean | undefined> {
    const ownUserId = process.getuid?.();
    if (ownUserId !== 0 && ownUserId !== userId) return undefined;
    // A look that hangs takes threads that all of us need, so there is never a second one.
    if (this.#looking) return true;
    this.#looking = isMarked(mark).finally(() => {
      this.#looking = undefined;
    });
    return await Promise.race([this.#looking, delay(LOOK_LIMIT_MS, true, { ref: false })]);
  }
}

async function isMarked(mark: string): Promise<boolean> {
  for (let look = 1; look <= EMPTY_LOOKS; look++) {
    if ((await processesWithMark(mark)).length > 0) return true;
    if (look < EMPTY_LOOKS) await delay(LOOK_AGAIN_MS);
  }
  return false;
}
