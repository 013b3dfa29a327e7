import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import type { Access } from '../../services/shared/interceptors/access.ts';
import type { Persona } from './cast.ts';
import type { Meaning } from './credential-forms.ts';
import type { Outcome } from './rpc-outcome.ts';

/** What the gate must say of a call, from the entry of its method and what the request says about its sender. */
export function expectedAtGate(access: Access, meaning: Meaning, caller: Pick<Persona, 'scopes'>): Outcome {
  if (meaning === 'vouched') return 'PEER_ONLY';
  if (access.kind === 'open') return 'ADMITTED';
  switch (meaning) {
    case 'in the URL':
      return 'KEY_IN_URL';
    case 'two':
      return 'CREDENTIAL_CONFLICT';
    case 'unreadable':
      return 'CREDENTIAL_INVALID';
    case 'peer':
      return 'ADMITTED';
    default:
      return access.kind === 'peer' ? 'PEER_ONLY' : expectedOfCaller(access, meaning, caller);
  }
}

function expectedOfCaller(access: Access, meaning: Meaning, { scopes }: Pick<Persona, 'scopes'>): Outcome {
  if (meaning === 'anonymous') return 'CREDENTIAL_MISSING';
  if (meaning === 'unknown') return 'CREDENTIAL_INVALID';
  if (access.kind !== 'scope') return 'ADMITTED';
  return scopes.includes(access.scope) || scopes.includes(Scope.ADMIN) ? 'ADMITTED' : 'SCOPE_MISSING';
}
