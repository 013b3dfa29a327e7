import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { concerns, type Revocation } from '../../shared/interceptors/revocation.ts';
import { Roster } from '../../shared/lifecycle/roster.ts';

/** The callers of all generations, from before it is known who they are until their generation is over. */
export class Callers {
  readonly #present = new Roster<Caller>();

  /** Somebody calls. */
  enter(): Caller {
    const caller = new Caller();
    caller.leave = this.#present.add(caller);
    return caller;
  }

  /** Ends what runs for those that a revocation is about. */
  cut(revocation: Revocation): void {
    for (const caller of this.#present) caller.take(revocation);
  }
}

/** The caller of one generation. */
export class Caller {
  /** To be called when the generation is over. */
  leave: () => void = () => {};
  #principal: Principal | undefined;
  /** What was revoked while it was not known who calls. */
  #early: Revocation[] = [];
  #isCut = false;
  #end: (error: MeshError) => void = () => {};

  /** From now on `end` ends what the caller has running. */
  endWith(end: (error: MeshError) => void): void {
    this.#end = end;
  }

  /** It is known who calls. Throws MeshError CREDENTIAL_INVALID when that was revoked meanwhile. */
  identify(principal: Principal): void {
    this.#principal = principal;
    for (const revocation of this.#early) this.take(revocation);
    this.#early = [];
    this.throwIfCut();
  }

  take(revocation: Revocation): void {
    if (!this.#principal) {
      this.#early.push(revocation);
    } else if (concerns(revocation, this.#principal)) {
      this.#isCut = true;
      this.#end(revoked());
    }
  }

  /** @throws MeshError CREDENTIAL_INVALID. */
  throwIfCut(): void {
    if (this.#isCut) throw revoked();
  }
}

function revoked(): MeshError {
  return new MeshError('CREDENTIAL_INVALID', 'The credential was revoked.');
}
