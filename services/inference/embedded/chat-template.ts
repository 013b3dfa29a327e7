import { randomUUID } from 'node:crypto';
import type { NativeTemplate } from './llama-binding.ts';
import type { Tokenizer } from './tokenizer.ts';

export type ChatMessage = { readonly role: 'system' | 'user' | 'assistant'; readonly content: string };

/** What a model without a template of its own gets, as llama.cpp does. */
export const DEFAULT_CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** The template refused these messages, e.g. because the roles do not alternate. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}

export type ChatTemplate = {
  /** The prompt's tokens. Throws ChatTemplateError. */
  tokenize(messages: readonly ChatMessage[]): Uint32Array;
};

export type ChatTemplateParts = {
  readonly template: NativeTemplate;
  readonly tokenizer: Tokenizer;
  /** Text of the begin and end tokens, empty where there is none: templates may name them. */
  readonly beginText: string;
  readonly endText: string;
};

/**
 * Renders messages with the model's own Jinja template. Where a message contains the name of a control token, the name
 * goes through the template as a mark that nobody can guess and is tokenised as text in the end: what a user writes can
 * never open or close a turn, and the template still sees (and trims, or tests) the message itself.
 */
export function createChatTemplate({ template, tokenizer, beginText, endText }: ChatTemplateParts): ChatTemplate {
  const controlPattern =
    tokenizer.controlTexts.length === 0
      ? undefined
      : new RegExp(tokenizer.controlTexts.map((text) => RegExp.escape(text)).join('|'), 'g');

  function render(messages: readonly ChatMessage[]): string {
    const variables = {
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: true,
      bos_token: beginText,
      eos_token: endText,
    };
    try {
      return template.render(variables);
    } catch (error) {
      throw new ChatTemplateError(`the model's chat template refuses these messages: ${templateMessage(error)}`);
    }
  }

  return {
    tokenize(messages) {
      const nonce = randomUUID();
      const hidden: string[] = [];
      const hide = (name: string): string => `\uE000${nonce}.${hidden.push(name) - 1}\uE001`;
      const safe = messages.map(({ role, content }) => ({
        role,
        content: controlPattern === undefined ? content : content.replace(controlPattern, hide),
      }));
      const parts = render(safe).split(new RegExp(`\uE000${nonce}\\.(\\d+)\uE001`));
      const tokens: number[] = [];
      for (const [index, part] of parts.entries()) {
        // split() puts the captured numbers at the odd places.
        if (index % 2 === 1) tokens.push(...tokenizer.tokenizeText(hidden[Number(part)] ?? ''));
        else for (const token of tokenizer.tokenizeMarkup(part)) tokens.push(token);
      }
      const { beginToken } = tokenizer;
      if (beginToken !== undefined && tokens[0] !== beginToken) tokens.unshift(beginToken);
      return Uint32Array.from(tokens);
    },
  };
}

/** What the template itself said (`raise_exception`), without the renderer's source excerpt. */
function templateMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^AddonJinjaRenderer: failed to render template: /, '').split('\n')[0] ?? text;
}
