import type { HandlerContext } from '@connectrpc/connect';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { Generate } from './generate.ts';

/** The handler of a server-streaming Generate method. */
export type GenerateHandler = (request: GenerateRequest, context: HandlerContext) => AsyncIterable<GenerationEvent>;

/** Serves the seam as an RPC. */
export function generateHandler(_generate: Generate): GenerateHandler {
  throw new Error('not yet');
}
