import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  DrainResponseSchema,
  ListNodesResponseSchema,
  type RegisterRequest,
  RegisterResponseSchema,
  type RegistryService,
} from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { RouterContext } from '../context.ts';
import { LEASE_MS } from '../fleet/registry.ts';
import { visibleEngines } from '../fleet/visible.ts';

/** Takes the reports of one node for as long as its stream lives. */
export function register(context: RouterContext): MethodImpl<typeof RegistryService.method.register> {
  return async function* (reports, call) {
    let last: RegisterRequest | undefined;
    const lose = (): void => {
      if (last) context.registry.lose(last, performance.now());
    };
    // The signal, not a finally: a generator that waits in a read is not finalised when its peer vanishes.
    call.signal.addEventListener('abort', lose, { once: true });
    for await (const report of reports) {
      const drain = context.registry.report(report, { epochMs: context.now(), monotonicMs: performance.now() });
      last = report;
      yield create(RegisterResponseSchema, {
        lease: durationFromMs(LEASE_MS),
        ...(drain === undefined ? {} : { drain }),
      });
    }
    lose();
  };
}

/** Every node and its engines. */
export function listNodes(context: RouterContext): MethodImpl<typeof RegistryService.method.listNodes> {
  return (_request, call) => {
    const principal = principalOf(call);
    const nodes = context.registry.nodes().map((node) => ({ ...node, engines: visibleEngines(node, principal) }));
    const defaultModel = context.registry.snapshot.route('')?.names[0] ?? '';
    return create(ListNodesResponseSchema, { nodes, defaultModel, waiting: context.unary.places.waiting });
  };
}

/** Takes a node out of rotation, or back in. */
export function drainNode(context: RouterContext): MethodImpl<typeof RegistryService.method.drain> {
  return (request) => create(DrainResponseSchema, { node: context.registry.drain(request.node, request.draining) });
}
