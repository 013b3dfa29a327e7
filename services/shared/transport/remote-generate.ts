import type { DescMethodServerStreaming } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import type { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { Generate } from './generate.ts';

/** RouterService.method.generate or InferenceService.method.generate. */
export type GenerateMethod = DescMethodServerStreaming<typeof GenerateRequestSchema, typeof GenerationEventSchema>;

/** The seam over an RPC stream: calls the method at a peer. */
export function remoteGenerate(_transport: Transport, _method: GenerateMethod): Generate {
  throw new Error('not yet');
}
