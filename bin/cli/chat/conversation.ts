import { type ChatMessage, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { message } from '../generation.ts';

/** What was said so far, and to whom. */
export class Conversation {
  model: string;
  system: string;
  #messages: ChatMessage[] = [];

  constructor(model: string, system: string) {
    this.model = model;
    this.system = system;
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  ask(text: string): void {
    this.#messages.push(message(Role.USER, text));
  }

  /** An answer, also one that was cancelled. Without any of it the question counts as never asked. */
  answered(text: string): void {
    if (text === '') this.#messages.pop();
    else this.#messages.push(message(Role.ASSISTANT, text));
  }

  /** Takes the last question and its answer back; undefined: there is none. */
  takeBack(): string | undefined {
    const at = this.#messages.findLastIndex(({ role }) => role === Role.USER);
    const question = at < 0 ? undefined : textOf(this.#messages[at]);
    if (at >= 0) this.#messages = this.#messages.slice(0, at);
    return question;
  }

  clear(): void {
    this.#messages = [];
  }

  /** Who said what, in order. */
  lines(): { readonly who: 'you' | 'model'; readonly text: string }[] {
    return this.#messages.map((said) => ({ who: said.role === Role.USER ? 'you' : 'model', text: textOf(said) }));
  }
}

function textOf(said: ChatMessage | undefined): string {
  return (said?.parts ?? []).map(({ part }) => (part.case === 'text' ? part.value : '')).join('');
}
