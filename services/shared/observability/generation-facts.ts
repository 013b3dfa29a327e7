import type { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';

/** What is known of the work of a model for one request. Filled by plain assignments; unset: it never came about. */
export class GenerationFacts {
  /** The model as the caller named it; "" for the default one. */
  readonly modelAsked: string;
  /** The underlying model. */
  modelId: string | undefined = undefined;
  engine: string | undefined = undefined;
  /** How long it waited for places and for its model, in milliseconds. */
  queuedMs: number | undefined = undefined;
  /** When the first of the answer came, in milliseconds of the monotonic clock. */
  firstTokenAtMs: number | undefined = undefined;
  promptTokens = 0;
  completionTokens = 0;
  cachedTokens = 0;
  reasoningTokens = 0;
  /** How often another engine went on with it. */
  takeovers = 0;
  /** Why the first choice ended. */
  finishReason: FinishReason | undefined = undefined;
  /** What was asked, and what each choice was answered, as they are: only where that is wanted. */
  prompt: Prompt | undefined = undefined;
  answers: readonly string[] | undefined = undefined;

  constructor(modelAsked: string) {
    this.modelAsked = modelAsked;
  }
}
