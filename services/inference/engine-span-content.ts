import type { GenerateRequest } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Delta } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type ChatMessage, Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';

// What people wrote and were answered, for spans of operators who asked for it, in the form of the conventions for generative AI.

/** How much of each text is kept, in characters; what follows is left out. */
const LONGEST_TEXT = 64 * 1024;

/** A piece of a message. */
type Part = { readonly type: string; readonly [member: string]: unknown };

const ROLES: Readonly<Record<number, string>> = {
  [Role.SYSTEM]: 'system',
  [Role.DEVELOPER]: 'developer',
  [Role.USER]: 'user',
  [Role.ASSISTANT]: 'assistant',
  [Role.TOOL]: 'tool',
};

/** A prompt as JSON. Images and sounds are only mentioned. */
export function promptContent({ prompt }: GenerateRequest): string {
  const input = prompt?.input;
  switch (input?.case) {
    case 'text':
      return JSON.stringify([{ role: 'user', parts: [textPart(input.value)] }]);
    case 'chat':
      return JSON.stringify(
        input.value.messages.map((message) => ({ role: ROLES[message.role], parts: partsOf(message) })),
      );
    default:
      return '[]';
  }
}

function partsOf({ parts, toolCalls, toolCallId }: ChatMessage): Part[] {
  if (toolCallId !== undefined) {
    const response = parts.map(({ part }) => (part.case === 'text' ? part.value : '')).join('');
    return [{ type: 'tool_call_response', id: toolCallId, response: response.slice(0, LONGEST_TEXT) }];
  }
  const shown = parts.map(({ part }): Part => {
    if (part.case === 'text' || part.case === 'refusal') return textPart(part.value);
    return { type: part.case === 'imageUrl' ? 'image' : 'audio' };
  });
  return [
    ...shown,
    ...toolCalls.map(({ id, name, arguments: text }) => ({ type: 'tool_call', id, name, arguments: text })),
  ];
}

function textPart(content: string): Part {
  return { type: 'text', content: content.slice(0, LONGEST_TEXT) };
}

/** What an answer says, gathered from its deltas. */
export class AnswerContent {
  readonly #choices: { text: string; reasoning: string; toolCalls: string }[] = [];

  /** Adds a piece. */
  add({ choice, text, reasoning, toolCalls }: Delta): void {
    this.#choices[choice] ??= { text: '', reasoning: '', toolCalls: '' };
    const gathered = this.#choices[choice];
    gathered.text = longer(gathered.text, text);
    gathered.reasoning = longer(gathered.reasoning, reasoning);
    for (const { name, arguments: piece } of toolCalls)
      gathered.toolCalls = longer(gathered.toolCalls, `${name}${piece}`);
  }

  /** All of it as JSON, with why each choice ended. */
  messages(finishReasons: readonly string[]): string {
    return JSON.stringify(
      Array.from(this.#choices, (choice, index) => ({
        role: 'assistant',
        parts: [
          ...(choice?.reasoning ? [{ type: 'reasoning', content: choice.reasoning }] : []),
          ...(choice?.text ? [{ type: 'text', content: choice.text }] : []),
          ...(choice?.toolCalls ? [{ type: 'tool_call', arguments: choice.toolCalls }] : []),
        ],
        finish_reason: finishReasons[index],
      })),
    );
  }
}

function longer(text: string, piece: string | undefined): string {
  return piece && text.length < LONGEST_TEXT ? text + piece : text;
}
