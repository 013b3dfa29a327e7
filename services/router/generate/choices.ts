import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Candidate } from '../fleet/snapshot.ts';

/** Whether an engine makes all the choices that a request asks for; else each is made by a request of its own. Pure. */
export function makesAllChoices({ sampling }: GenerateRequest, { engine }: Candidate): boolean {
  return (sampling?.choices ?? 1) <= 1 || engine.capabilities?.choices !== false;
}
