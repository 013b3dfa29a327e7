import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError, type StreamResponse } from '@connectrpc/connect';
import { codeToString } from '@connectrpc/connect/protocol-connect';
import { asMeshError, toConnectError } from '../errors/connect-error.ts';
import { NAMES } from '../observability/telemetry-names.ts';
import type { Attributes, Span, SpanKind } from '../observability/tracer.ts';
import { methodName } from './access.ts';

/** The protocol of a call, as conventions call it. */
export type RpcSystem = 'grpc' | 'connectrpc';

/** What every span of a call says. */
export function rpcAttributes(method: DescMethod, system: RpcSystem): Attributes {
  return { [NAMES.rpcSystem]: system, [NAMES.rpcMethod]: methodName(method) };
}

/** Codes that are the fault of whoever answers; for whoever asks, every code is. */
const SERVER_FAULTS: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** Ends the span of a call. */
export function endRpcSpan(span: Span, { kind, system }: { kind: SpanKind; system: RpcSystem }, error?: unknown): void {
  if (error === undefined) {
    if (system === 'grpc') span.set({ [NAMES.rpcStatus]: 'OK' });
  } else {
    const { code } = error instanceof ConnectError ? error : toConnectError(error);
    span.set({ [NAMES.rpcStatus]: system === 'grpc' ? grpcName(code) : codeToString(code) });
    if (kind !== 'server' || SERVER_FAULTS.has(code)) span.fail(asMeshError(error).reason);
  }
  span.end();
}

function grpcName(code: Code): string {
  return code === Code.Canceled ? 'CANCELLED' : codeToString(code).toUpperCase();
}

type Messages = StreamResponse['message'];
type Message = Messages extends AsyncIterable<infer T> ? T : never;

/** The messages of a stream, each made in its span; `over` is told once how the stream ended, undefined: as it should. */
export function inSpan(messages: Messages, span: Span, over: (error?: unknown) => void): Messages {
  return {
    [Symbol.asyncIterator]() {
      const iterator: AsyncIterator<Message> = span.within(() => messages[Symbol.asyncIterator]());
      return {
        next() {
          const message = span.within(() => iterator.next());
          message.then(
            ({ done }) => {
              if (done) over();
            },
            (error: unknown) => over(error),
          );
          return message;
        },
        return: async (value) => {
          over();
          return (await iterator.return?.(value)) ?? { done: true, value };
        },
      };
    },
  };
}
