import type { Unit } from '../../services/quota/lease.ts';
import type { LeaseFigures } from './history.ts';

/** What a lease has spent of a limit on a unit. */
export function spentOf(unit: Unit, figures: LeaseFigures): number {
  const prompt = figures.promptTokens ?? 0;
  const tokens = { prompt_tokens: prompt, completion_tokens: figures.completionTokens };
  if (unit === 'requests') return figures.isCounted && figures.state !== 'released' ? 1 : 0;
  if (unit === 'tokens') return tokens.prompt_tokens + tokens.completion_tokens;
  return unit === 'prompt_tokens' || unit === 'completion_tokens' ? tokens[unit] : 0;
}

/** What a lease holds of a limit on a unit. */
export function heldOf(unit: Unit, figures: LeaseFigures): number {
  if (figures.state !== 'held') return 0;
  const prompt = figures.promptTokens === undefined ? figures.promptBound : 0;
  const completion = figures.coveredTokens - figures.completionTokens;
  switch (unit) {
    case 'requests':
      return 0;
    case 'tokens':
      return prompt + completion;
    case 'prompt_tokens':
      return prompt;
    case 'completion_tokens':
      return completion;
    case 'concurrent_requests':
      return 1;
    case 'concurrent_context_tokens':
      return (figures.promptTokens ?? figures.promptBound) + figures.maxCompletionTokens;
  }
}
