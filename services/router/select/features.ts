import { crc32 } from 'node:zlib';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { firstSent } from '../generate/choices.ts';
import { promptBound } from '../generate/prompt-bound.ts';
import { prefixHashes } from './prompt-prefix.ts';

/** What the choice looks at of a request. */
export interface RouteFeatures {
  /** The engine that an admin pinned it to: an engine's name, or `<node>/<engine>`. Empty: none. */
  readonly pinned: string;
  /** A hash of the session. Unset: no session. */
  readonly session: number | undefined;
  /** Hashes of ever longer starts of the prompt, the shortest first. */
  readonly prefix: readonly number[];
  /** An upper bound of the prompt, in tokens. */
  readonly promptTokens: number;
  /** How long the completions may be, for limits that count what may come. */
  readonly sampling?: GenerateRequest['sampling'];
  /** What it may weigh on an engine, in tokens: the prompt and the most that it may produce. */
  readonly tokens: number;
}

/** What a completion weighs that the request does not bound, in tokens. */
const UNBOUNDED_COMPLETION_TOKENS = 2_048;

/** Looks at a request once, however often an engine is chosen for it; of several prompts at what is sent first. Pure. */
export function featuresOf(asked: GenerateRequest): RouteFeatures {
  const request = firstSent(asked);
  const { engine, session, sampling } = request;
  const promptTokens = promptBound(request);
  const completionTokens = (sampling?.maxTokens ?? UNBOUNDED_COMPLETION_TOKENS) * (sampling?.choices ?? 1);
  return {
    pinned: engine,
    session: session === '' ? undefined : crc32(session),
    prefix: prefixHashes(request),
    promptTokens,
    sampling,
    tokens: promptTokens + completionTokens,
  };
}
