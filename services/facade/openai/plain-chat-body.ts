import type { ChatBody } from './chat-schema.ts';

/** Most characters of a model's name, and most messages, as the schema has them. */
const MOST_NAME = 512;
const MOST_MESSAGES = 2048;

/**
 * Whether a body is one that the schema of chats accepts and leaves as it is, of the few fields that nearly every client sends. Says
 * no where in doubt: what is wrong, or rare, is for the schema to judge.
 *
 * The schema costs such a body as much as its translation and its way to an engine together, most of it for fields that are not there.
 */
export function isPlainChatBody(body: unknown): body is ChatBody {
  if (!isObject(body) || typeof body.model !== 'string' || !isPlainConversation(body.messages)) return false;
  for (const name of Object.keys(body)) if (!isPlainField(name, body[name])) return false;
  return true;
}

function isPlainField(name: string, value: unknown): boolean {
  switch (name) {
    case 'model':
      return typeof value === 'string' && value.length <= MOST_NAME;
    case 'messages':
      return true;
    case 'max_tokens':
    case 'max_completion_tokens':
      return Number.isSafeInteger(value) && isWithin(value, 1, Number.MAX_SAFE_INTEGER);
    case 'temperature':
      return isWithin(value, 0, 2);
    case 'top_p':
      return isWithin(value, 0, 1);
    case 'seed':
      return Number.isSafeInteger(value);
    case 'stream':
      return typeof value === 'boolean';
    case 'stream_options':
      return isPlainOptions(value);
    default:
      return false;
  }
}

function isPlainConversation(messages: unknown): boolean {
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MOST_MESSAGES) return false;
  for (const message of messages) if (!isPlainMessage(message)) return false;
  return true;
}

/** A role and a text, and nothing else. */
function isPlainMessage(message: unknown): boolean {
  if (!isObject(message) || typeof message.content !== 'string' || Object.keys(message).length !== 2) return false;
  const { role } = message;
  return role === 'user' || role === 'system' || role === 'assistant' || role === 'developer';
}

function isPlainOptions(options: unknown): boolean {
  return isObject(options) && typeof options.include_usage === 'boolean' && Object.keys(options).length === 1;
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
