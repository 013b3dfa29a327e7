import { crc32 } from 'node:zlib';
import { ModelRole } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Node } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { type Standing, standingOf } from './standing.ts';

/** An engine somewhere in the mesh. */
export interface Candidate {
  /** Unique in the mesh: node and engine name. */
  readonly id: string;
  readonly node: string;
  /** Unique besides to the process of the node: another one after it has started anew. */
  readonly life: string;
  /** Where the node's InferenceService is reached. Empty: in this process. */
  readonly address: string;
  /** Whether the node wants nothing new. */
  readonly draining: boolean;
  readonly engine: Engine;
  /** Whether it takes requests. */
  readonly standing: Standing;
  /** How much it bears beside others, as configured; 1 unless told. */
  readonly weight: number;
  /** A hash of the id. */
  readonly hash: number;
}

/** One underlying model, everything it answers to, and the engines that serve it. */
export interface ModelRoute {
  /** The underlying model id, else the configured name. */
  readonly id: string;
  /** What leads to it in every snapshot: the id, or the name that narrows it to some of the engines. */
  readonly key: string;
  /** Configured names and aliases. */
  readonly names: readonly string[];
  readonly candidates: readonly Candidate[];
  /** Those that take requests now. */
  readonly ready: readonly Candidate[];
  /** Those that a request makes come. */
  readonly coming: readonly Candidate[];
  /** The candidates by id. */
  readonly byId: ReadonlyMap<string, Candidate>;
  /** Names of the models to take instead when no engine of this one can take a request, in this order. */
  readonly fallbacks: readonly string[];
}

/** What the router knows of the mesh at one moment. Immutable; made anew on every change, never per request. */
export interface Snapshot {
  /** The models, the default first. */
  readonly models: readonly ModelRoute[];
  /** Whether any node has reported: until then nothing can be said about names. */
  readonly hasNodes: boolean;
  /** What a request's `model` leads to: a configured name, an alias, a model id, or "" for the default of a role. */
  route(model: string, role?: ModelRole): ModelRoute | undefined;
}

/** What the configuration says about names. */
export interface Naming {
  /** Name or id of a model → names or ids of those to take instead. */
  readonly fallbacks?: Readonly<Record<string, readonly string[]>>;
  /** Engine name, `<node>/<engine>` or model id → how much it bears; the first of these that is there counts. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Alias → configured name or model id. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Configured name or model id. Unset: the first model that a node reported. */
  readonly defaultModel?: string | undefined;
  /** The same for questions that are answered in SQL. Unset: the default model. */
  readonly textToSql?: string | undefined;
}

/** Builds the snapshot of `nodes`. Engines with the same model id serve the same model, whatever their names. */
export function createSnapshot(nodes: readonly Node[], naming: Naming): Snapshot {
  const drafts = new Map<string, { names: Set<string>; candidates: Candidate[] }>();
  for (const node of nodes) {
    for (const engine of node.engines) {
      const modelId = engine.modelId || engine.name;
      const draft = drafts.get(modelId) ?? { names: new Set(), candidates: [] };
      drafts.set(modelId, draft);
      draft.names.add(engine.name);
      draft.candidates.push(candidateOf(node, engine, naming));
    }
  }
  const routes = new Map<string, ModelRoute>();
  const models: ModelRoute[] = [];
  for (const [id, draft] of drafts) {
    const aliases = Object.entries(naming.aliases).filter(([, target]) => target === id || draft.names.has(target));
    const names = [...draft.names, ...aliases.map(([alias]) => alias)];
    const fallbacks = fallbacksOf([id, ...names], naming);
    const route = withCandidates({ id, key: id, names, fallbacks }, draft.candidates);
    models.push(route);
    for (const name of route.names) routes.set(name, narrowed(route, name, naming));
    routes.set(id, route);
  }
  const defaultRoute = naming.defaultModel === undefined ? models[0] : routes.get(naming.defaultModel);
  const sqlRoute = naming.textToSql === undefined ? defaultRoute : routes.get(naming.textToSql);
  const ordered = models.toSorted((a, b) => Number(b.id === defaultRoute?.id) - Number(a.id === defaultRoute?.id));
  return {
    models: ordered,
    hasNodes: nodes.length > 0,
    route: (model, role) => {
      if (model !== '') return routes.get(model);
      return role === ModelRole.TEXT_TO_SQL ? sqlRoute : defaultRoute;
    },
  };
}

function candidateOf(node: Node, engine: Engine, { weights = {} }: Naming): Candidate {
  const id = `${node.node}/${engine.name}`;
  return {
    id,
    node: node.node,
    life: `${id}@${node.epoch}`,
    address: node.address,
    draining: node.draining,
    engine,
    standing: standingOf(engine, node.draining),
    weight: weights[id] ?? weights[engine.name] ?? weights[engine.modelId] ?? 1,
    hash: crc32(id),
  };
}

/** A configured name means the engines of that name; an alias or a model id means all engines of the model. */
function narrowed(route: ModelRoute, name: string, naming: Naming): ModelRoute {
  const named = route.candidates.filter((candidate) => candidate.engine.name === name);
  if (named.length === 0 || named.length === route.candidates.length) return route;
  const { id, names } = route;
  return withCandidates({ id, key: name, names, fallbacks: fallbacksOf([name, id], naming) }, named);
}

function withCandidates(
  about: Pick<ModelRoute, 'id' | 'key' | 'names' | 'fallbacks'>,
  candidates: readonly Candidate[],
): ModelRoute {
  return {
    ...about,
    candidates,
    ready: candidates.filter(({ standing }) => standing === 'ready'),
    coming: candidates.filter(({ standing }) => standing === 'coming'),
    byId: new Map(candidates.map((candidate) => [candidate.id, candidate])),
  };
}

function fallbacksOf(names: readonly string[], { fallbacks = {} }: Naming): string[] {
  return [...new Set(names.flatMap((name) => fallbacks[name] ?? []))];
}
