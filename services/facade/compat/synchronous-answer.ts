import { z } from 'zod';
import type { CollectedChoice, Collector } from '../openai/collector.ts';

/** What `synchronousAnswer` writes, for the documentation. */
export const synchronousAnswerSchema = z.object({
  success: z.literal(true),
  request_time: z.number().describe('In seconds.'),
  completions: z.array(
    z.object({
      text: z.string(),
      tokens: z
        .array(z.object({ text: z.string(), logprob: z.number().nullable().describe('Null: it could not have been.') }))
        .describe('Empty where an engine of the model tells no log-probabilities.'),
    }),
  ),
});

/** One. */
export const SYNCHRONOUS_EXAMPLE = {
  success: true,
  request_time: 0.42,
  completions: [
    {
      text: ' Paris.',
      tokens: [
        { text: ' Paris', logprob: -0.11 },
        { text: '.', logprob: -0.29 },
      ],
    },
  ],
};

/** A collected generation → the body of the synchronous `POST /generate`. */
export function synchronousAnswer(collected: Collector, requestSeconds: number): string {
  return JSON.stringify({
    success: true,
    request_time: requestSeconds,
    completions: collected.choices().map(([, choice]) => completionOf(choice)),
  });
}

/** Without log-probabilities nothing tells where tokens begin and end: then there are none. */
function completionOf({ text, logprobs }: CollectedChoice): object {
  return {
    text,
    tokens: logprobs.map(({ token, logprob }) => ({ text: token, logprob: Number.isFinite(logprob) ? logprob : null })),
  };
}
