import type { HandlerContext } from '@connectrpc/connect';
import type { NodeEngine } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fromConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { type Fleet, onBehalf } from './fleet.ts';
import { answersTo, isHere } from './node-with.ts';

/**
 * Unloads a model on every node that has it; without a name the only one that is loaded.
 *
 * @returns what is not loaded now.
 * @throws MeshError MODEL_NOT_FOUND when no node knows it; CONFLICT when none or several are loaded and none is named; what one of
 * the nodes answered, after all have.
 */
export async function unloadEverywhere(fleet: Fleet, model: string, call: HandlerContext): Promise<NodeEngine[]> {
  const name = model === '' ? await onlyLoaded(fleet, call) : model;
  const live = fleet.registry.members().filter((member) => member.live);
  const outcomes = await Promise.all(
    live.map(async ({ node }) => {
      try {
        const request = { model: name, node: node.node };
        return { engines: (await fleet.at(node).unloadModel(request, onBehalf(call))).engines };
      } catch (error) {
        return { engines: [], error: fromConnectError(error) };
      }
    }),
  );
  const errors = outcomes.flatMap(({ error }) => (error ? [error] : []));
  const problem = errors.find(({ reason }) => reason !== 'MODEL_NOT_FOUND');
  if (problem) throw problem;
  if (errors.length < outcomes.length) return outcomes.flatMap(({ engines }) => engines);
  const gone = fleet.registry.nodes().find(({ engines }) => engines.some((engine) => answersTo(engine, name)));
  // Says that it no longer reports.
  if (gone) fleet.named(gone.node);
  throw new MeshError('MODEL_NOT_FOUND', `No node has a model '${name}'.`, { metadata: { model: name } });
}

async function onlyLoaded(fleet: Fleet, call: HandlerContext): Promise<string> {
  const isLive = (node: string): boolean => fleet.registry.member(node)?.live === true;
  const loaded = (await fleet.engines(call)).flatMap(({ node, engine }) =>
    engine && isLive(node) && isHere(engine) ? [engine.name] : [],
  );
  const names = [...new Set(loaded)];
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  const problem = only === undefined ? 'nothing is loaded' : `several are: ${names.join(', ')}; name one`;
  throw new MeshError('CONFLICT', `No model is named, and ${problem}.`, { metadata: { kind: 'engine', id: '' } });
}
