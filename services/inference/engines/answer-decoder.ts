import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';

/** The bytes of one engine's streamed answer → generation events. Does no I/O. */
export interface AnswerDecoder {
  /** Whether the last event, `usage`, is among those taken or to be taken. */
  readonly complete: boolean;
  /** Whether it is complete although the engine goes on: its connection must end. */
  readonly leftRunning?: boolean;
  /** Tokens of all choices so far. */
  readonly completionTokens: number;
  /**
   * Takes the next bytes.
   *
   * @throws MeshError ENGINE_FAILED for what is no such answer, whatever an error in the answer means, ENGINE_LOST.
   */
  push(chunk: Buffer): void;
  /**
   * The answer has ended.
   *
   * @throws MeshError ENGINE_LOST when a choice is unfinished.
   */
  close(): void;
  /** The events that are ready, in order. */
  take(): readonly GenerationEvent[];
}
