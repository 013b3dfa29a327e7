import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { methodName } from '../interceptors/access.ts';
import { endRpcSpan, rpcAttributes } from '../interceptors/rpc-span.ts';
import { peerAttributes } from '../interceptors/trace-calls.ts';
import { NAMES } from '../observability/telemetry-names.ts';
import type { Attributes } from '../observability/tracer.ts';
import type { GenerationSpan } from './traced-generate.ts';

/** The span of a generation that is asked of another process: on a trunk it is a call as one by itself is. */
export function askedGeneration(method: DescMethod, url: string): GenerationSpan {
  return rpcGeneration(method, 'client', peerAttributes(url));
}

/** The span of a generation that another process asks for. */
export function servedGeneration(service: DescService): GenerationSpan {
  const method = service.methods.find(({ name }) => name === 'Generate');
  if (!method) throw new Error(`${service.typeName} has no method Generate`);
  return rpcGeneration(method, 'server', {});
}

function rpcGeneration(method: DescMethod, kind: 'client' | 'server', more: Attributes): GenerationSpan {
  const system = 'grpc';
  const name = methodName(method);
  const attributes = { ...rpcAttributes(method, system), ...more };
  return {
    kind,
    name: () => name,
    attributes: (_request, { requestId }) => ({ ...attributes, [NAMES.requestId]: requestId }),
    notes: (span) => ({
      readsDeltas: false,
      event() {},
      over: (error) => endRpcSpan(span, { kind, system }, error),
    }),
  };
}
