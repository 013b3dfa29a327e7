import type { GenerationEvent } from '../../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { charactersOf } from '../event-characters.ts';

/** What an event takes beside its text. */
const EVENT_BYTES = 512;

/** What an event takes of the credit of its generation; the contract says how it is counted. */
export function eventBytes(event: GenerationEvent): number {
  return EVENT_BYTES + charactersOf(event);
}
