import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type GenerateRequest,
  ModelRole,
  ResponseFormatSchema,
  ToolChoiceSchema,
  ToolMode,
  ToolSchema,
} from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Chat } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { chatMessages } from './chat-messages.ts';
import { type ChatBody, chatBodySchema } from './chat-schema.ts';
import { engineOptionsOf, resumeOf, samplingOf } from './sampling.ts';

/** Tokens of an answer when the body does not say. */
const DEFAULT_MAX_TOKENS = 2048;

/** The body of `POST /v1/chat/completions` → the request to the router. */
export function chatRequest(body: ChatBody): GenerateRequest {
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? DEFAULT_MAX_TOKENS;
  const logprobs = { logprobs: body.logprobs === true, topLogprobs: body.top_logprobs ?? undefined };
  const chat: Chat = {
    $typeName: 'mesh.generation.v1.Chat',
    messages: chatMessages(body.messages),
    templateOptions: asJson(body.chat_template_kwargs),
  };
  const choice = toolChoiceOf(body.tool_choice);
  const format = responseFormatOf(body.response_format);
  // Written out: made from a part of its fields it costs as much as the check of the body.
  return {
    $typeName: 'mesh.generation.v1.GenerateRequest',
    model: body.model,
    modelRole: ModelRole.UNSPECIFIED,
    prompt: { $typeName: 'mesh.generation.v1.Prompt', input: { case: 'chat', value: chat } },
    morePrompts: [],
    echoPrompt: false,
    sampling: samplingOf(body, maxTokens, logprobs, body.reasoning_effort),
    tools: body.tools?.map((tool) => create(ToolSchema, toolOf(tool))) ?? [],
    toolChoice: choice && create(ToolChoiceSchema, choice),
    responseFormat: format && create(ResponseFormatSchema, format),
    engineOptions: engineOptionsOf(body, chatBodySchema.shape),
    endUser: body.user ?? '',
    resume: resumeOf(body),
    // The router says what the rest is.
    engine: '',
    session: '',
    contextTokens: 0,
  };
}

function toolOf({ function: tool }: NonNullable<ChatBody['tools']>[number]): MessageInitShape<typeof ToolSchema> {
  return {
    name: tool.name,
    description: tool.description ?? '',
    parameters: asJson(tool.parameters),
    strict: tool.strict ?? undefined,
  };
}

const TOOL_MODES = { none: ToolMode.NONE, auto: ToolMode.AUTO, required: ToolMode.REQUIRED } as const;

function toolChoiceOf(choice: ChatBody['tool_choice']): MessageInitShape<typeof ToolChoiceSchema> | undefined {
  if (choice == null) return undefined;
  if (typeof choice === 'string') return { choice: { case: 'mode', value: TOOL_MODES[choice] } };
  return { choice: { case: 'function', value: choice.function.name } };
}

function responseFormatOf(
  format: ChatBody['response_format'],
): MessageInitShape<typeof ResponseFormatSchema> | undefined {
  if (format == null || format.type === 'text') return undefined;
  if (format.type === 'json_object') return { format: { case: 'jsonObject', value: true } };
  const { name, description, schema, strict } = format.json_schema;
  return {
    format: {
      case: 'jsonSchema',
      value: { name, description: description ?? '', schema: asJson(schema), strict: strict ?? undefined },
    },
  };
}

/** The schema only says "object"; it came out of JSON.parse, so its members are JSON. */
function asJson(value: Record<string, unknown> | null | undefined): JsonObject | undefined {
  return value == null ? undefined : (value as JsonObject);
}
