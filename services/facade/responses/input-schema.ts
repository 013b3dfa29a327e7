import { z } from 'zod';
import { MAX_CONTENT_PARTS } from '../openai/chat-message-schema.ts';
import { boundedArray, unlessKnown } from '../openai/sampling-fields.ts';

/** Most items of one request, and most parts of one item. */
const MAX_ITEMS = 2048;
const MAX_PARTS = 1024;

const inputText = z.object({ type: z.literal('input_text'), text: z.string() });
/** What an earlier answer had. */
const outputText = z.object({ type: z.literal('output_text'), text: z.string() });
const refusal = z.object({ type: z.literal('refusal'), refusal: z.string() });
const inputImage = z.object({ type: z.literal('input_image'), image_url: z.string('only image_url is there').min(1) });
const inputAudio = z.object({
  type: z.literal('input_audio'),
  input_audio: z.object({ data: z.base64().min(1), format: z.string().min(1).max(32) }),
});

const textPart = z.discriminatedUnion('type', [inputText, outputText], {
  error: unlessKnown('type', 'input_text, output_text'),
});
const userPart = z.discriminatedUnion('type', [inputText, outputText, inputImage, inputAudio], {
  error: unlessKnown('type', 'input_text, input_image, input_audio'),
});
const saidPart = z.discriminatedUnion('type', [inputText, outputText, refusal], {
  error: unlessKnown('type', 'output_text, refusal'),
});

/** A part of what a user, or a tool, the assistant, or somebody else says. */
export type UserPart = z.output<typeof userPart>;
/** See UserPart. */
export type SaidPart = z.output<typeof saidPart>;
/** See UserPart. */
export type TextPart = z.output<typeof textPart>;

const error = `expected a string or a list of at most ${MAX_PARTS} parts`;
const textContent = z.union([z.string(), boundedArray(textPart, MAX_PARTS)], { error });
const userContent = z.union([z.string(), boundedArray(userPart, MAX_PARTS)], { error });
const saidContent = z.union([z.string(), boundedArray(saidPart, MAX_PARTS)], { error });

const id = z.string().min(1).max(256);
const type = z.literal('message');

const message = z.discriminatedUnion(
  'role',
  [
    z.object({ type, role: z.literal('user'), content: userContent }),
    z.object({ type, role: z.literal('assistant'), content: saidContent }),
    z.object({ type, role: z.literal('system'), content: textContent }),
    z.object({ type, role: z.literal('developer'), content: textContent }),
  ],
  { error: unlessKnown('role', 'user, assistant, system, developer') },
);

const functionCall = z.object({
  type: z.literal('function_call'),
  call_id: id,
  name: z.string().min(1).max(256),
  arguments: z.string(),
});

const functionCallOutput = z.object({ type: z.literal('function_call_output'), call_id: id, output: textContent });

/** What a model thought earlier is for nobody: templates drop it. */
const reasoning = z.object({ type: z.literal('reasoning') });

const item = z.preprocess(
  asMessage,
  z.discriminatedUnion('type', [message, functionCall, functionCallOutput, reasoning], {
    error: unlessKnown('type', 'message, function_call, function_call_output, reasoning'),
  }),
);

/** One item of the input. */
export type InputItem = z.output<typeof item>;

/** A message needs no type. */
function asMessage(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('role' in value) || 'type' in value) return value;
  return { ...value, type: 'message' };
}

/** Counted before the items are checked one by one. */
function fewParts(list: unknown): boolean {
  if (!Array.isArray(list)) return true;
  let parts = 0;
  for (const one of list) {
    const inner = one?.content ?? one?.output;
    if (Array.isArray(inner)) parts += inner.length;
  }
  return parts <= MAX_CONTENT_PARTS;
}

/** A text, or items. */
export const inputSchema = z
  .custom<unknown>(fewParts, { error: `at most ${MAX_CONTENT_PARTS} parts are accepted, all items together` })
  .pipe(
    z.union([z.string().min(1), boundedArray(item, MAX_ITEMS).refine((list) => list.length > 0, 'at least one item')], {
      error: `expected a text that is not empty or a list of at most ${MAX_ITEMS} items`,
    }),
  );
