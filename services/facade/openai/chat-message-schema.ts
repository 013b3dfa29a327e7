import { z } from 'zod';
import { boundedArray, unlessKnown } from './sampling-fields.ts';

const textPart = z.object({ type: z.literal('text'), text: z.string() });
const refusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() });
const imagePart = z.object({ type: z.literal('image_url'), image_url: z.object({ url: z.string().min(1) }) });
const audioPart = z.object({
  type: z.literal('input_audio'),
  input_audio: z.object({ data: z.base64().min(1), format: z.string().min(1).max(32) }),
});

/** Most content parts of all messages together. */
export const MAX_CONTENT_PARTS = 4096;
/** Most content parts of one message. */
const MAX_PARTS = 1024;

const content = { error: `expected a string or a list of at most ${MAX_PARTS} content parts` };
const userPart = z.discriminatedUnion('type', [textPart, imagePart, audioPart], {
  error: unlessKnown('type', 'text, image_url, input_audio'),
});
const assistantPart = z.discriminatedUnion('type', [textPart, refusalPart], {
  error: unlessKnown('type', 'text, refusal'),
});

const textContent = z.union([z.string(), boundedArray(textPart, MAX_PARTS)], content);
const userContent = z.union([z.string(), boundedArray(userPart, MAX_PARTS)], content);
const assistantContent = z.union([z.string(), boundedArray(assistantPart, MAX_PARTS)], content);

const toolCall = z.object({
  id: z.string().min(1).max(256),
  type: z.literal('function'),
  function: z.object({ name: z.string().min(1).max(256), arguments: z.string() }),
});

const name = z.string().max(256).nullish();

/**
 * A message of a conversation. Members that clients send back from an earlier answer (`annotations`, `audio`,
 * `reasoning_content`, …) are dropped.
 */
export const chatMessageSchema = z.discriminatedUnion(
  'role',
  [
    z.object({ role: z.literal('system'), content: textContent, name }),
    z.object({ role: z.literal('developer'), content: textContent, name }),
    z.object({ role: z.literal('user'), content: userContent, name }),
    z.object({
      role: z.literal('assistant'),
      content: assistantContent.nullish(),
      refusal: z.string().nullish(),
      tool_calls: boundedArray(toolCall, 128).nullish(),
      name,
    }),
    z.object({ role: z.literal('tool'), content: textContent, tool_call_id: z.string().min(1).max(256), name }),
  ],
  { error: unlessKnown('role', 'system, developer, user, assistant, tool') },
);

/** See chatMessageSchema. */
export type ChatMessageBody = z.output<typeof chatMessageSchema>;
