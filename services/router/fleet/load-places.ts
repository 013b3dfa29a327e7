import type { HandlerContext } from '@connectrpc/connect';
import type { LoadModelRequest } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { Node } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { explainOnNodes } from './explain.ts';
import type { Fleet } from './fleet.ts';
import { bestFirst } from './merge-placement.ts';
import { nodeWith } from './node-with.ts';

/** How many places are remembered; the oldest goes first. */
const MAX_PLACES = 1_000;

/** A node at one of its starts. */
type Place = Pick<Node, 'node' | 'epoch'>;

/**
 * Where models are loaded. What was decided stands while the node lives, because a node tells of a model that it has not
 * configured only when its files are there: who asks for it meanwhile must come to the same node.
 */
export class LoadPlaces {
  readonly #fleet: Fleet;
  readonly #decided = new Map<string, Place>();
  readonly #deciding = new Map<string, Promise<Node>>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /**
   * The node for a load.
   *
   * @throws MeshError NOT_FOUND or PEER_UNAVAILABLE for the node that it names; what nodes answer when none knows a place.
   */
  async find(request: LoadModelRequest, call: HandlerContext): Promise<Node> {
    if (request.node !== '') return this.#fleet.named(request.node);
    const { model } = request;
    for (;;) {
      const known = this.#known(model);
      if (known) return known;
      const deciding = this.#deciding.get(model);
      if (!deciding) return this.#decide(request, call);
      // What stopped another caller's decision need not stop this one.
      await deciding.catch(() => undefined);
      call.signal.throwIfAborted();
    }
  }

  /** A load has failed: the next one may go elsewhere. */
  forget(model: string): void {
    this.#decided.delete(model);
  }

  #known(model: string): Node | undefined {
    const nodes = this.#fleet.open().map(({ node }) => node);
    const decided = this.#decided.get(model);
    return nodeWith(model, nodes) ?? nodes.find(({ node, epoch }) => node === decided?.node && epoch === decided.epoch);
  }

  async #decide(request: LoadModelRequest, call: HandlerContext): Promise<Node> {
    const { model } = request;
    const deciding = this.#best(request, call);
    this.#deciding.set(model, deciding);
    try {
      const { node, epoch } = await deciding;
      this.#decided.delete(model);
      this.#decided.set(model, { node, epoch });
      for (const [oldest] of this.#decided) {
        if (this.#decided.size <= MAX_PLACES) break;
        this.#decided.delete(oldest);
      }
    } finally {
      this.#deciding.delete(model);
    }
    return deciding;
  }

  async #best(request: LoadModelRequest, call: HandlerContext): Promise<Node> {
    const [best] = bestFirst(await explainOnNodes(this.#fleet, request, call));
    if (best) return this.#fleet.named(best.node);
    throw new MeshError('NO_HEALTHY_ENGINE', 'No inference node takes a model now. Start one, or end its drain.', {
      metadata: { model: request.model },
      retryAfterMs: 1_000,
    });
  }
}
