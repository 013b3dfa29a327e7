import { create } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type Prompt, PromptSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
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

/**
 * Lets an engine make one token before anybody waits for it: the first request compiles and allocates, and one that loads
 * but cannot answer is found out here. An engine that takes no plain text is asked in a chat; one that generates nothing
 * embeds.
 *
 * @throws MeshError why it could not; the signal's reason.
 */
export async function warmUp(connection: EngineConnection, engine: string, signal: AbortSignal): Promise<void> {
  const ways = [
    () => generateOne(connection, engine, TEXT_PROMPT, signal),
    () => generateOne(connection, engine, CHAT_PROMPT, signal),
    ...(connection.embed ? [() => embedOne(connection, signal)] : []),
  ];
  let first: MeshError | undefined;
  for (const way of ways) {
    try {
      await way();
      return;
    } catch (error) {
      signal.throwIfAborted();
      first ??= asMeshError(error);
    }
  }
  throw first;
}

function generateOne(connection: EngineConnection, engine: string, prompt: Prompt, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const request = create(GenerateRequestSchema, { engine, model: engine, prompt, sampling: { maxTokens: 1 } });
  const call = { requestId: 'warm-up', signal, flow: new FlowControl() };
  connection.generate(request, call, { event: () => {}, end: resolve, fail: reject });
  return promise;
}

async function embedOne(connection: EngineConnection, signal: AbortSignal): Promise<void> {
  await connection.embed?.([TEXT_PROMPT], undefined, signal);
}
