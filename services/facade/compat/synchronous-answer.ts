import type { CollectedChoice, Collector } from '../openai/collector.ts';

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
