import type { Interceptor, StreamResponse } from '@connectrpc/connect';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type GenerationEvent, GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import {
  type EmbedRequest,
  type EmbedResponse,
  EmbedResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { noteEmbedding, noteGeneration } from '../observability/generation-notes.ts';
import { exchangeKey } from '../transport/exchange.ts';

/** The server interceptor that notes for the request log what a model did, whether here or in the process that a call goes on to. */
export const noteAnswers: Interceptor = (next) => async (req) => {
  const { typeName } = req.method.output;
  const facts = req.contextValues.get(exchangeKey)?.facts;
  if (!facts || facts.isOfPeer) return await next(req);
  if (typeName === EmbedResponseSchema.typeName && !req.stream) {
    const response = await next(req);
    if (!response.stream) noteEmbedding(facts, req.message as EmbedRequest, response.message as EmbedResponse);
    return response;
  }
  if (typeName !== GenerationEventSchema.typeName || !req.stream) return await next(req);
  let note: ((event: GenerationEvent) => void) | undefined;
  const message = told(req.message, (request) => {
    note = noteGeneration(request as GenerateRequest, facts);
  });
  const response = await next({ ...req, message });
  if (!response.stream) return response;
  return { ...response, message: told(response.message, (event) => note?.(event as GenerationEvent)) };
};

type Messages = StreamResponse['message'];
type Message = Messages extends AsyncIterable<infer T> ? T : never;

/** The same messages, each told on its way. Not a generator: it must end what it stands before. */
function told(messages: Messages, tell: (message: Message) => void): Messages {
  const tellOf = (result: IteratorResult<Message>): IteratorResult<Message> => {
    if (!result.done) tell(result.value);
    return result;
  };
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        next: () => iterator.next().then(tellOf),
        return: async (value) => (await iterator.return?.(value)) ?? { done: true, value },
        throw: async (error) => {
          if (!iterator.throw) throw error;
          return await iterator.throw(error);
        },
      };
    },
  };
}
