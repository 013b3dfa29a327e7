import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerationFacts } from './generation-facts.ts';

/**
 * What is known of one request of a caller, from its headers to the end of its answer. Whoever learns something notes it by a plain
 * assignment, or not at all. It holds no credential and no path: members of paths are what callers make of them.
 */
export class RequestFacts {
  readonly requestId: string;
  /** E.g. "POST". */
  readonly method: string;
  /** Whether what was asked and answered is wanted. */
  readonly tellsBodies: boolean;
  /** When its headers were here, in milliseconds of the monotonic clock. */
  readonly beganAtMs: number;
  /** The declared route, e.g. "/v1/models/*", or the RPC, e.g. "mesh.router.v1.RouterService/Generate". Unset: there is none. */
  route: string | undefined = undefined;
  /** How it came: as REST, or as an RPC over which protocol. */
  protocol: 'rest' | 'grpc' | 'grpc-web' | 'connect' = 'rest';
  /** The trace that it belongs to. Unset: none. */
  traceId: string | undefined = undefined;
  clientIp: string | undefined = undefined;
  /** Who calls. Unset: nobody known. */
  principal: Principal | undefined = undefined;
  /** Whether it is a process of the mesh that asks, for itself or for a caller whose request is known elsewhere. */
  isOfPeer = false;
  /** The HTTP status that its error has or would have. Unset: that of the answer. */
  status: number | undefined = undefined;
  /** Why it was refused or failed: a reason of the contract, or a short word. Unset: it was not. */
  reason: string | undefined = undefined;
  /** The caller's own label for whom it asks. */
  endUser: string | undefined = undefined;
  /** What a model had to do. Unset: nothing. */
  generation: GenerationFacts | undefined = undefined;

  constructor(requestId: string, method: string, tellsBodies: boolean) {
    this.requestId = requestId;
    this.method = method;
    this.tellsBodies = tellsBodies;
    this.beganAtMs = performance.now();
  }
}

const factsByRequest = new WeakMap<object, RequestFacts>();

/** Begins to note what is known of a request of Node's. */
export function noteRequest(request: object, facts: RequestFacts): void {
  factsByRequest.set(request, facts);
}

/** What is noted of it. Undefined: nobody wants to know. */
export function factsOf(request: object): RequestFacts | undefined {
  return factsByRequest.get(request);
}
