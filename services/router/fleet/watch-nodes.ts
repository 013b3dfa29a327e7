import type { HandlerContext } from '@connectrpc/connect';
import type { WatchEnginesResponse } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Fleet } from './fleet.ts';
import { Handover } from './handover.ts';
import { NodeWatch } from './node-watch.ts';
import type { Member } from './registry.ts';

/**
 * The engines of all nodes and their changes, until the call ends; each message is of one node. A node that comes begins with
 * all its engines; of one that goes they are told as they are known; of one that is forgotten they are removed.
 */
export async function* watchNodes(fleet: Fleet, call: HandlerContext): AsyncGenerator<WatchEnginesResponse> {
  const { registry } = fleet;
  const ending = new AbortController();
  const { signal } = ending;
  const changes = new Handover<WatchEnginesResponse>();
  const followed = new Set<string>();
  signal.addEventListener('abort', () => {
    changes.end(signal.reason);
    registry.changes.notify();
  });
  // The signal, not only the finally: a generator that waits in a yield is not finalised when its reader vanishes.
  const leave = (): void => ending.abort(call.signal.reason);
  if (call.signal.aborted) leave();
  else call.signal.addEventListener('abort', leave, { once: true });

  async function followAll(): Promise<void> {
    const untold = (): Member[] => registry.members().filter(({ node }) => !followed.has(node.node));
    while (!signal.aborted) {
      for (const { node } of untold()) {
        followed.add(node.node);
        const watch = new NodeWatch({ fleet, call, node: node.node, changes, signal });
        void watch.run().finally(() => followed.delete(node.node));
      }
      await registry.changes.until(() => signal.aborted || untold().length > 0);
    }
  }

  void followAll();
  try {
    while (!signal.aborted) yield await changes.take();
  } finally {
    ending.abort(new MeshError('CLIENT_GONE', 'The watch has ended.'));
  }
}
