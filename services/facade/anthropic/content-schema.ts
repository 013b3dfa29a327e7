import { z } from 'zod';
import { boundedArray, unlessKnown } from '../openai/sampling-fields.ts';

/** Most content blocks of one message. */
const MAX_BLOCKS = 1024;

const id = z.string().min(1).max(256);

const textBlock = z.object({ type: z.literal('text'), text: z.string() });

const imageSource = z.discriminatedUnion(
  'type',
  [
    z.object({
      type: z.literal('base64'),
      media_type: z.string().regex(/^image\/[a-z0-9.+-]{1,64}$/, 'expected e.g. "image/png"'),
      data: z.base64().min(1),
    }),
    z.object({ type: z.literal('url'), url: z.string().min(1) }),
  ],
  { error: unlessKnown('type', 'base64, url') },
);

const imageBlock = z.object({ type: z.literal('image'), source: imageSource });

const error = `expected a string or a list of at most ${MAX_BLOCKS} content blocks`;

/** What is said by nobody, and what tools tell: text. */
export const systemContent = z.union(
  [
    z.string(),
    boundedArray(z.discriminatedUnion('type', [textBlock], { error: unlessKnown('type', 'text') }), MAX_BLOCKS),
  ],
  { error },
);

const toolResult = z.object({ type: z.literal('tool_result'), tool_use_id: id, content: systemContent.nullish() });

const userBlock = z.discriminatedUnion('type', [textBlock, imageBlock, toolResult], {
  error: unlessKnown('type', 'text, image, tool_result'),
});

const toolUse = z.object({
  ...{ type: z.literal('tool_use'), id, name: z.string().min(1).max(256) },
  input: z.record(z.string(), z.unknown()),
});

/** What a model thought earlier is for nobody: templates drop it. */
const thinking = z.object({ type: z.literal('thinking') });
const redactedThinking = z.object({ type: z.literal('redacted_thinking') });

const assistantBlock = z.discriminatedUnion('type', [textBlock, toolUse, thinking, redactedThinking], {
  error: unlessKnown('type', 'text, tool_use, thinking, redacted_thinking'),
});

/** What a user says. */
export const userContent = z.union([z.string(), boundedArray(userBlock, MAX_BLOCKS)], { error });

/** What the model said. */
export const assistantContent = z.union([z.string(), boundedArray(assistantBlock, MAX_BLOCKS)], { error });

/** A block of either. */
export type UserBlock = z.output<typeof userBlock>;
/** See UserBlock. */
export type AssistantBlock = z.output<typeof assistantBlock>;
/** See systemContent. */
export type SystemContent = z.output<typeof systemContent>;
