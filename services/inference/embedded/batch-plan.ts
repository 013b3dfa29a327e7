import type { Slot } from './slot.ts';

/** What one sequence contributes to a decode step. */
export type StepEntry = {
  readonly slot: Slot;
  readonly tokens: Uint32Array;
  /** The last of `tokens` is the last that is known, so the step ends with sampling the next one. */
  readonly completesPrompt: boolean;
};

/** Most prompt tokens in a step that others wait for to get their next token: a long prompt must not stall them. */
const PROMPT_TOKENS_BESIDE_DECODING = 128;

/** How many tokens two sequences have in common at their beginning. */
export function commonPrefixLength(left: ArrayLike<number>, right: ArrayLike<number>): number {
  const limit = Math.min(left.length, right.length);
  let length = 0;
  while (length < limit && left[length] === right[length]) length++;
  return length;
}

/** The next step: a token of every generation that decodes, and prompt tokens in what is left of the batch. */
export function planStep(slots: readonly Slot[], batchTokens: number): StepEntry[] {
  const active = slots.filter(({ generation }) => generation && !generation.paused && !generation.cancelled);
  const decoding = active.filter(({ generation }) => generation?.lastToken !== undefined).length;
  let promptTokens = decoding === 0 ? batchTokens : Math.min(PROMPT_TOKENS_BESIDE_DECODING, batchTokens - decoding);
  const entries: StepEntry[] = [];
  for (const slot of active) {
    if (slot.generation === undefined) continue;
    const { lastToken, task } = slot.generation;
    if (lastToken !== undefined) {
      entries.push({ slot, tokens: Uint32Array.of(lastToken), completesPrompt: true });
      continue;
    }
    const position = slot.tokens.length;
    const tokens = task.prompt.subarray(position, position + promptTokens);
    if (tokens.length === 0) continue;
    promptTokens -= tokens.length;
    entries.push({ slot, tokens, completesPrompt: position + tokens.length === task.prompt.length });
  }
  return entries;
}
