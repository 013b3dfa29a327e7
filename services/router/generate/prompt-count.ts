import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { NodeClient } from '../fleet/fleet.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import { isTextOnly, toolsBound } from './prompt-bound.ts';

/** The length of a prompt by a tokenizer of its model. Undefined: none of the engines can tell. */
export type CountPrompt = (
  request: GenerateRequest,
  candidates: readonly Candidate[],
  signal: AbortSignal,
) => Promise<number | undefined>;

/** How long counting may take, in milliseconds: somebody waits for a refusal. */
const COUNT_TIMEOUT_MS = 2_000;

/** Counts with the first engine that is ready and has a tokenizer. `inferenceAt` gives the methods of a node. */
export function countPromptWith(inferenceAt: (address: string) => NodeClient): CountPrompt {
  return async ({ prompt, tools, ...request }, candidates, signal) => {
    const counter = candidates.find(
      ({ engine }) => engine.state === EngineState.READY && engine.capabilities?.tokenize === true,
    );
    if (!counter || !prompt || !isTextOnly({ ...request, prompt, tools })) return undefined;
    try {
      const { tokenIds } = await inferenceAt(counter.address).tokenize(
        { model: counter.engine.name, prompt },
        { signal, timeoutMs: COUNT_TIMEOUT_MS },
      );
      // Tools are written into the prompt by the template, of which the tokenizer is not told.
      return tokenIds.length + toolsBound(tools);
    } catch {
      // The refusal by the bound stands.
      return undefined;
    }
  };
}
