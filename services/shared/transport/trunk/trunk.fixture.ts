import { create } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../../errors/mesh-error.ts';
import { FlowControl } from '../flow-control.ts';
import type { Generate, GenerationCall } from '../generate.ts';

/** A generation that runs, and what its sink was told: the kinds of events, then "end" or "fail". */
export interface Run {
  readonly told: string[];
  readonly events: GenerationEvent[];
  readonly flow: FlowControl;
  readonly error: () => MeshError | undefined;
  readonly isOver: () => boolean;
  abort(reason?: MeshError): void;
}

/** Runs a generation of the test model over a seam. */
export function runOver(generate: Generate, text: string, options: Partial<GenerationCall> = {}): Run {
  const told: string[] = [];
  const events: GenerationEvent[] = [];
  const aborter = new AbortController();
  const flow = new FlowControl();
  let error: MeshError | undefined;
  const request = create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: text } } });
  const sink = {
    event(event: GenerationEvent) {
      told.push(event.event.case ?? '');
      events.push(event);
    },
    end: () => void told.push('end'),
    fail(failure: MeshError) {
      error = failure;
      told.push('fail');
    },
  };
  generate(request, { requestId: 'req_1', signal: aborter.signal, flow, ...options }, sink);
  return {
    told,
    events,
    flow,
    error: () => error,
    isOver: () => told.includes('end') || told.includes('fail'),
    abort: (reason = new MeshError('CLIENT_GONE', 'gone')) => aborter.abort(reason),
  };
}
