import { z } from 'zod';
import { MAX_CONTENT_PARTS } from '../openai/chat-message-schema.ts';
import { boundedArray, ignoredFields, samplingFields, unlessKnown } from '../openai/sampling-fields.ts';
import { assistantContent, systemContent, userContent } from './content-schema.ts';

const jsonObject = z.record(z.string(), z.unknown());

const message = z.discriminatedUnion(
  'role',
  [
    z.object({ role: z.literal('user'), content: userContent }),
    z.object({ role: z.literal('assistant'), content: assistantContent }),
    z.object({ role: z.literal('system'), content: systemContent }),
  ],
  { error: unlessKnown('role', 'user, assistant, system') },
);

const tool = z.object({
  type: z.literal('custom', 'only tools of the caller are there, of the type "custom"').nullish(),
  name: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z, a-z, 0-9, "_", "-" and "."'),
  description: z.string().nullish(),
  input_schema: jsonObject,
  strict: z.boolean().nullish(),
});

const toolChoice = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('auto') }),
    z.object({ type: z.literal('any') }),
    z.object({ type: z.literal('none') }),
    z.object({ type: z.literal('tool'), name: z.string().min(1).max(64) }),
  ],
  { error: unlessKnown('type', 'auto, any, none, tool') },
);

/** Counted before the messages are checked one by one. */
function fewParts(list: unknown): boolean {
  if (!Array.isArray(list)) return true;
  let parts = 0;
  for (const one of list) if (Array.isArray(one?.content)) parts += one.content.length;
  return parts <= MAX_CONTENT_PARTS;
}

const messages = z
  .custom<unknown>(fewParts, {
    error: `at most ${MAX_CONTENT_PARTS} content blocks are accepted, all messages together`,
  })
  .pipe(boundedArray(message, 2048).refine((list) => list.length > 0, 'at least one message'));

/** Not there: null and absent are fine. */
const none = (why: string) => z.null(why).optional();

const { n, stop, ...sampling } = samplingFields;

/** The body of `POST /v1/messages`. Fields that it does not name go to the engine as they are. */
export const messagesBodySchema = z.looseObject({
  ...sampling,
  ...ignoredFields,
  messages: messages.meta({
    description: 'The conversation so far; its last message is not of the assistant.',
    minItems: 1,
  }),
  max_tokens: z.int().min(1),
  system: systemContent.nullish(),
  stop_sequences: boundedArray(z.string().min(1).max(512), 16).nullish(),
  tools: boundedArray(tool, 128).nullish(),
  tool_choice: toolChoice.nullish(),
  metadata: z.object({ user_id: z.string().nullish() }).nullish(),
  thinking: z.looseObject({ type: z.string() }).nullish().describe('Without effect: a model thinks as it was made to.'),
  output_config: z
    .object({
      effort: z.string().max(32).nullish(),
      format: z.object({ type: z.literal('json_schema'), schema: jsonObject }).nullish(),
    })
    .nullish(),
  cache_control: z.unknown().optional(),
  diagnostics: z.unknown().optional(),
  inference_geo: z.unknown().optional(),
  speed: z.unknown().optional(),
  user_profile_id: z.unknown().optional(),
  workspace_id: z.unknown().optional(),
  container: none('there are no containers'),
  mcp_servers: none('servers of tools are not called; call them and send what they tell'),
  context_management: none('conversations are never cut; send less'),
});

/** See messagesBodySchema. */
export type MessagesBody = z.output<typeof messagesBodySchema>;
