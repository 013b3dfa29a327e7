import type { Delta } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';

/** The longest answer that is kept to be continued, in characters; about the longest contexts of today. */
const MOST_CHARACTERS = 2 ** 20;

/** What has been delivered of one answer, as far as another engine needs it to go on. */
export class Transcript {
  text = '';
  /** The tokens of `text`. */
  readonly tokenIds: number[] = [];
  /** Whether `tokenIds` are those of all of the text. */
  hasAllIds = true;
  /** What the deltas counted, the last one's figure. */
  completionTokens = 0;
  /** Unset: no engine told it. */
  promptTokens: number | undefined;
  hasReasoning = false;
  hasToolCalls = false;
  /** It is too long to be kept: it cannot be continued. */
  isTooLong = false;
  isFinished = false;

  /** How many tokens the text has; those that an engine counted and held back are not among them where ids are known. */
  get tokens(): number {
    return this.hasAllIds ? this.tokenIds.length : this.completionTokens;
  }

  add({ text, reasoning, toolCalls, tokenIds, completionTokens, promptTokens }: Delta): void {
    this.completionTokens = completionTokens;
    if (promptTokens > 0) this.promptTokens ??= promptTokens;
    if (reasoning !== '') this.hasReasoning = true;
    if (toolCalls.length > 0) this.hasToolCalls = true;
    if (tokenIds.length === 0 && text !== '') this.hasAllIds = false;
    if (this.isTooLong) return;
    for (const id of tokenIds) this.tokenIds.push(id);
    this.text += text;
    if (this.text.length > MOST_CHARACTERS) this.#giveUp();
  }

  /** The answer begins anew: nothing of it was shown. */
  restart(): void {
    this.text = '';
    this.tokenIds.length = 0;
    this.hasAllIds = true;
  }

  #giveUp(): void {
    this.isTooLong = true;
    this.text = ' ';
    this.tokenIds.length = 0;
  }
}
