import type { CallOptions, Client, HandlerContext } from '@connectrpc/connect';
import type { InferenceService, NodeEngine } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { Node } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { fromConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import { forwardedHeaders } from '../../shared/transport/forward.ts';
import { TO_NODE_HEADER } from '../../shared/transport/mesh-headers.ts';
import type { Member, Registry } from './registry.ts';
import { inOrderOfNames, nodeEngines } from './visible.ts';

/** The methods of a node. */
export type NodeClient = Client<typeof InferenceService>;

/** What a node said. */
export type NodeAnswer<Answer> = { readonly node: Node } & (
  | { readonly answer: Answer; readonly error?: undefined }
  | { readonly answer?: undefined; readonly error: MeshError }
);

/** Longest wait for what a node knows by itself, in milliseconds. */
const ENGINES_LIMIT_MS = 5_000;

/** The share of a caller's time that nodes get, so that those which answered still reach him. */
const SHARE_OF_CALL = 0.8;

/** The nodes of the mesh, for calls that concern one of them or all. They authorize the caller again. */
export class Fleet {
  readonly registry: Registry;
  readonly #inferenceAt: (address: string) => NodeClient;

  /** `inferenceAt` gives the methods of the node at an address; "" is this process. */
  constructor(registry: Registry, inferenceAt: (address: string) => NodeClient) {
    this.registry = registry;
    this.#inferenceAt = inferenceAt;
  }

  /** Nodes that take something new, by name. */
  open(): Member[] {
    return this.registry.members().filter(({ node, live }) => live && !node.draining);
  }

  /**
   * The node of that name.
   *
   * @throws MeshError NOT_FOUND; PEER_UNAVAILABLE for one that no longer reports.
   */
  named(name: string): Node {
    const member = this.registry.member(name);
    if (!member) throw new MeshError('NOT_FOUND', `No node '${name}'.`, { metadata: { kind: 'node', id: name } });
    if (!member.live) throw isGone(name);
    return member.node;
  }

  /** The methods of a node. */
  at(node: Node): NodeClient {
    return this.#inferenceAt(node.address);
  }

  /** Asks every node, or those given, for at most `limitMs`; the answers are by the nodes' names. Never rejects. */
  askAll<Answer>(
    call: HandlerContext,
    limitMs: number,
    ask: (client: NodeClient, options: CallOptions) => Promise<Answer>,
    members: readonly Member[] = this.registry.members(),
  ): Promise<NodeAnswer<Answer>[]> {
    // gRPC takes whole milliseconds only.
    const timeoutMs = Math.max(
      1,
      Math.min(limitMs, Math.floor(SHARE_OF_CALL * (call.timeoutMs() ?? Number.POSITIVE_INFINITY))),
    );
    const options = { ...onBehalf(call), timeoutMs };
    return Promise.all(
      members.map(async ({ node, live }) => {
        if (!live) return { node, error: isGone(node.node) };
        try {
          return { node, answer: await ask(this.at(node), options) };
        } catch (error) {
          return { node, error: fromConnectError(error) };
        }
      }),
    );
  }

  /** The engines of all nodes as the caller may see them; of a node that does not answer as it last reported them. */
  async engines(call: HandlerContext): Promise<NodeEngine[]> {
    const answers = await this.askAll(call, ENGINES_LIMIT_MS, (client, options) => client.listEngines({}, options));
    const engines = answers.flatMap((told) => {
      if (!told.error) return told.answer.engines;
      // Looked up again: meanwhile it may have been found to be gone.
      const { node } = this.registry.member(told.node.node) ?? told;
      return nodeEngines(node, principalOf(call));
    });
    return inOrderOfNames(engines);
  }
}

/** How a call goes on to a node: with its caller's credential and address, and for that node alone. */
export function onBehalf(call: HandlerContext): CallOptions {
  const headers = forwardedHeaders(call);
  headers.set(TO_NODE_HEADER, '1');
  const timeoutMs = call.timeoutMs();
  return { headers, signal: call.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

function isGone(name: string): MeshError {
  return new MeshError('PEER_UNAVAILABLE', `The node '${name}' no longer reports. Look at its process and network.`, {
    metadata: { node: name },
    retryAfterMs: 1_000,
  });
}
