import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  GenerateRequestSchema,
  type SamplingParametersSchema,
} from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type Prompt, PromptSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { EngineConnection } from '../engines/engine.ts';

/** A word that every vocabulary can spell. */
const TEXT = 'Hello';

const TEXT_PROMPT = create(PromptSchema, { input: { case: 'text', value: TEXT } });
const CHAT_PROMPT = create(PromptSchema, {
  input: {
    case: 'chat',
    value: { messages: [{ role: Role.USER, parts: [{ part: { case: 'text', value: TEXT } }] }] },
  },
});

/** What a generation is asked for besides one token. */
type Asked = Pick<MessageInitShape<typeof SamplingParametersSchema>, 'ignoreEndOfTurn'>;

/**
 * Lets an engine make one token before anybody waits for it: the first request compiles and allocates, and one that loads
 * but cannot answer is found out here. An engine that takes no plain text is asked in a chat; one that ends its turn at once
 * and does not count that, which is no fault, may not end it; one that generates nothing embeds.
 *
 * @throws MeshError why it could not, ENGINE_FAILED for answers without a token; the signal's reason.
 */
export async function warmUp(connection: EngineConnection, engine: string, signal: AbortSignal): Promise<void> {
  const ways = [
    () => makesToken(connection, engine, TEXT_PROMPT, signal),
    () => makesToken(connection, engine, CHAT_PROMPT, signal),
    // Last of these, as some engines refuse it: those count the token that ends a turn.
    () => makesToken(connection, engine, TEXT_PROMPT, signal, { ignoreEndOfTurn: true }),
    ...(connection.embed ? [() => makesVector(connection, signal)] : []),
  ];
  let first: MeshError | undefined;
  let isEmpty = false;
  for (const way of ways) {
    try {
      if (await way()) return;
      isEmpty = true;
    } catch (error) {
      signal.throwIfAborted();
      first ??= asMeshError(error);
    }
  }
  throw isEmpty ? new MeshError('ENGINE_FAILED', 'Its answers end before their first token.') : first;
}

/** Whether an answer had a token: one that was sent, or one that only the bill tells, as half a character or the end of a turn. */
function makesToken(
  connection: EngineConnection,
  engine: string,
  prompt: Prompt,
  signal: AbortSignal,
  asked: Asked = {},
): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const sampling = { ...asked, maxTokens: 1 };
  const request = create(GenerateRequestSchema, { engine, model: engine, prompt, sampling });
  const call = { requestId: 'warm-up', signal, flow: new FlowControl() };
  let hasToken = false;
  const event = ({ event: { case: kind, value } }: GenerationEvent): void => {
    hasToken ||= kind === 'delta' || (kind === 'usage' && value.completionTokens > 0);
  };
  connection.generate(request, call, { event, end: () => resolve(hasToken), fail: reject });
  return promise;
}

async function makesVector(connection: EngineConnection, signal: AbortSignal): Promise<boolean> {
  const answer = await connection.embed?.([TEXT_PROMPT], undefined, signal);
  return (answer?.vectors[0]?.length ?? 0) > 0;
}
