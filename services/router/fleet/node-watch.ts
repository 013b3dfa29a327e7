import { create } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import {
  type WatchEnginesResponse,
  WatchEnginesResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fromConnectError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Reason } from '../../shared/errors/reasons.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import { type Fleet, onBehalf } from './fleet.ts';
import type { Handover } from './handover.ts';
import type { Member } from './registry.ts';
import { visibleEngines } from './visible.ts';

/** How long after a broken stream a node is asked again, in milliseconds. */
const AGAIN_AFTER_MS = 500;

/** How long the stream of a node that reports no more may still tell its end, in milliseconds. */
const LAST_WORDS_MS = 2_000;

/** What says that the caller may not watch, or no more. */
const REFUSALS: ReadonlySet<Reason> = new Set(['CREDENTIAL_MISSING', 'CREDENTIAL_INVALID', 'SCOPE_MISSING']);

/** What the watch of one node is made of. */
export interface NodeWatchParts {
  readonly fleet: Fleet;
  readonly call: HandlerContext;
  /** The name of the node. */
  readonly node: string;
  /** Where its messages go. */
  readonly changes: Handover<WatchEnginesResponse>;
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/** Follows one node for one watcher, for as long as it is known. */
export class NodeWatch {
  readonly #parts: NodeWatchParts;
  readonly #principal: Principal;

  /** @throws MeshError CREDENTIAL_MISSING for a call without a caller. */
  constructor(parts: NodeWatchParts) {
    this.#parts = parts;
    this.#principal = principalOf(parts.call);
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const { fleet, signal } = this.#parts;
    const { changes } = fleet.registry;
    let last = this.#member;
    let hasStopped = false;
    while (last && !signal.aborted) {
      if (last.live) {
        const { epoch } = last.node;
        hasStopped = await this.#follow(last);
        await changes.until(() => signal.aborted || !this.#isAt(epoch), AGAIN_AFTER_MS);
      } else {
        // A node that stopped in order has told how each of its engines ended.
        if (!hasStopped) await this.#tell({ engines: visibleEngines(last.node, this.#principal) });
        await changes.until(() => signal.aborted || this.#member?.live !== false);
      }
      const now = this.#member;
      if (!now) await this.#tell({ removed: last.node.engines.map(({ name }) => name) });
      last = now;
    }
  }

  get #member(): Member | undefined {
    return this.#parts.fleet.registry.member(this.#parts.node);
  }

  /** Whether the node still reports, from the same start. */
  #isAt(epoch: bigint): boolean {
    const member = this.#member;
    return member?.live === true && member.node.epoch === epoch;
  }

  /**
   * Hands the node's own stream on until it ends, or the node has gone and only its connection does not know.
   *
   * @returns whether the node ended it because it stops.
   */
  async #follow({ node }: Member): Promise<boolean> {
    const { fleet, call, signal } = this.#parts;
    const { changes } = fleet.registry;
    const leaving = new AbortController();
    const isOver = (): boolean => leaving.signal.aborted || signal.aborted;
    void changes
      .until(() => isOver() || !this.#isAt(node.epoch))
      .then(() => changes.until(isOver, LAST_WORDS_MS))
      .then(() => leaving.abort());
    try {
      const options = { ...onBehalf(call), signal: leaving.signal };
      for await (const message of fleet.at(node).watchEngines({}, options)) await this.#tell(message);
      return false;
    } catch (error) {
      const problem = fromConnectError(error);
      this.#broke(problem, node.address);
      return problem.reason === 'SHUTTING_DOWN';
    } finally {
      leaving.abort();
      changes.notify();
    }
  }

  /** What ends the whole watch: the caller may no more, or this process ends. Else the node is asked again. */
  #broke(error: MeshError, address: string): void {
    const isOwnEnd = address === '' && error.reason === 'SHUTTING_DOWN';
    if (isOwnEnd || REFUSALS.has(error.reason)) this.#parts.changes.end(error);
  }

  #tell(message: Partial<Pick<WatchEnginesResponse, 'engines' | 'removed'>>): Promise<void> {
    const { changes, node } = this.#parts;
    return changes.put({ ...create(WatchEnginesResponseSchema), ...message, node });
  }
}
