import type { DescMethodServerStreaming } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { createAsyncIterable } from '@connectrpc/connect/protocol';
import type { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent, GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError, fromConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import type { Vouching } from '../interceptors/on-behalf-of.ts';
import type { Generate, GenerationCall, GenerationSink } from './generate.ts';
import { CLIENT_IP_HEADER, ON_BEHALF_OF_HEADER, REQUEST_ID_HEADER } from './mesh-headers.ts';

/** RouterService.method.generate or InferenceService.method.generate. */
export type GenerateMethod = DescMethodServerStreaming<typeof GenerateRequestSchema, typeof GenerationEventSchema>;

/** What signs for the callers that this process vouches for. */
type Sign = Pick<Vouching, 'sign'>;

/** The seam over an RPC stream: calls the method at a peer. Without `vouching` a call for somebody fails with INTERNAL. */
export function remoteGenerate(transport: Transport, method: GenerateMethod, vouching?: Sign): Generate {
  return (request, call, sink) => {
    const once = endOnce(sink);
    // Breaking out of a stream does not cancel it, so every call has its own signal, aborted in any case at the end.
    const aborter = new AbortController();
    const onAbort = () => {
      const reason = asMeshError(call.signal.reason);
      aborter.abort(reason);
      once.fail(reason);
    };
    if (call.signal.aborted) return onAbort();
    call.signal.addEventListener('abort', onAbort, { once: true });
    const progress = { hasEvents: false };
    const open = async () => {
      const headers = headersOf(method, call, vouching);
      const input = createAsyncIterable([request]);
      return (await transport.stream(method, aborter.signal, call.timeoutMs, headers, input)).message;
    };
    pull(open, call, aborter.signal, once, progress)
      .catch((error: unknown) => once.fail(broken(fromConnectError(error), progress.hasEvents)))
      .finally(() => {
        call.signal.removeEventListener('abort', onAbort);
        aborter.abort();
      });
  };
}

async function pull(
  open: () => Promise<AsyncIterable<GenerationEvent>>,
  call: GenerationCall,
  signal: AbortSignal,
  sink: GenerationSink,
  progress: { hasEvents: boolean },
): Promise<void> {
  const gate = createGate(call);
  let last: string | undefined;
  for await (const event of await open()) {
    if (signal.aborted) return;
    last = event.event.case;
    progress.hasEvents = true;
    sink.event(event);
    const wait = gate();
    if (wait) await wait;
  }
  if (last === 'usage') sink.end();
  else if (last === undefined)
    sink.fail(new MeshError('PEER_UNAVAILABLE', 'The peer ended the stream without an answer.'));
  else sink.fail(new MeshError('ENGINE_LOST', 'The stream broke off before its end.'));
}

/** A peer that vanishes takes the engine's stream with it; before the first event it merely did not answer. */
function broken(error: MeshError, hasEvents: boolean): MeshError {
  if (error.reason !== 'PEER_UNAVAILABLE' || !hasEvents) return error;
  return new MeshError('ENGINE_LOST', 'The stream broke off before its end.', { cause: error });
}

function headersOf(method: GenerateMethod, call: GenerationCall, vouching: Sign | undefined): Record<string, string> {
  const { onBehalfOf, clientIp } = call;
  if (onBehalfOf && !vouching) throw new MeshError('INTERNAL', 'This process cannot sign for a caller.');
  return {
    ...(onBehalfOf && vouching ? { [ON_BEHALF_OF_HEADER]: vouching.sign(method, { ...onBehalfOf, clientIp }) } : {}),
    [REQUEST_ID_HEADER]: call.requestId,
    ...(call.credential === undefined ? {} : { authorization: `Bearer ${call.credential}` }),
    ...(call.clientIp === undefined ? {} : { [CLIENT_IP_HEADER]: call.clientIp }),
  };
}

/** What to wait for before the next event is read: nothing, or the end of the reader's pause or of the call. */
function createGate(call: GenerationCall): () => Promise<void> | undefined {
  let open: PromiseWithResolvers<void> | undefined;
  const release = () => {
    open?.resolve();
    open = undefined;
  };
  call.flow.connect((paused) => {
    if (paused) open ??= Promise.withResolvers();
    else release();
  });
  call.signal.addEventListener('abort', release, { once: true });
  return () => open?.promise;
}

/** Whatever comes second – the end after an abort, an event after either – is not passed on. */
function endOnce(sink: GenerationSink): GenerationSink {
  let ended = false;
  return {
    event(event) {
      if (!ended) sink.event(event);
    },
    end() {
      if (ended) return;
      ended = true;
      sink.end();
    },
    fail(error) {
      if (ended) return;
      ended = true;
      sink.fail(error);
    },
  };
}
