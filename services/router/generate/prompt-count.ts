import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { NodeClient } from '../fleet/fleet.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import { promptsOf } from './choices.ts';
import type { PromptLength } from './demand.ts';
import { besidesBound, isTextOnly } from './prompt-bound.ts';

/**
 * The length of each prompt by a tokenizer of its model. Undefined: none of the engines can tell. What the template writes into
 * it besides, of which the tokenizer is not told, counts by its bound; then it is not exact.
 */
export type CountPrompt = (
  request: GenerateRequest,
  candidates: readonly Candidate[],
  signal: AbortSignal,
) => Promise<readonly PromptLength[] | undefined>;

/** How long counting may take, in milliseconds: somebody waits for a refusal. */
const COUNT_TIMEOUT_MS = 2_000;

/** Counts with the first engine that is ready and has a tokenizer. `inferenceAt` gives the methods of a node. */
export function countPromptWith(inferenceAt: (address: string) => NodeClient): CountPrompt {
  return async (request, candidates, signal) => {
    const prompts = promptsOf(request);
    const counter = candidates.find(
      ({ engine }) => engine.state === EngineState.READY && engine.capabilities?.tokenize === true,
    );
    if (!counter || !prompts.every((prompt) => isTextOnly({ prompt }))) return undefined;
    const client = inferenceAt(counter.address);
    const besides = besidesBound(request);
    try {
      return await Promise.all(
        prompts.map(async (prompt) => {
          const asked = { model: counter.engine.name, ...(prompt ? { prompt } : {}) };
          const { tokenIds } = await client.tokenize(asked, { signal, timeoutMs: COUNT_TIMEOUT_MS });
          return { tokens: tokenIds.length + besides, isExact: besides === 0 };
        }),
      );
    } catch {
      // The refusal by the bound stands.
      return undefined;
    }
  };
}
