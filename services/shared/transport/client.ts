import type { DescMethodStreaming, DescService } from '@bufbuild/protobuf';
import { type CallOptions, type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createAsyncIterable, createLinkedAbortController } from '@connectrpc/connect/protocol';

/**
 * As Connect's createClient, except that breaking out of a `for await` over a stream cancels the call; Connect's own
 * leaves the server running.
 */
export function createMeshClient<T extends DescService>(service: T, transport: Transport): Client<T> {
  const streaming: Record<string, unknown> = {};
  for (const method of service.methods) {
    if (method.methodKind === 'server_streaming') {
      streaming[method.localName] = (input: MessageInit, options?: CallOptions) =>
        openStream(transport, method as DescMethodStreaming, createAsyncIterable([input]), options);
    } else if (method.methodKind === 'bidi_streaming') {
      streaming[method.localName] = (input: AsyncIterable<MessageInit>, options?: CallOptions) =>
        openStream(transport, method as DescMethodStreaming, input, options);
    }
  }
  return Object.assign(createClient(service, transport), streaming);
}

type MessageInit = Record<string, unknown>;

/** Opens the call at once, as Connect does, also when nobody reads yet. */
function openStream(
  transport: Transport,
  method: DescMethodStreaming,
  input: AsyncIterable<MessageInit>,
  options: CallOptions = {},
): AsyncIterable<MessageInit> {
  const controller = createLinkedAbortController(options.signal);
  const { timeoutMs, headers, contextValues } = options;
  const opened = transport
    .stream(method, controller.signal, timeoutMs, headers, input, contextValues)
    .then((response) => {
      options.onHeader?.(response.header);
      return { response, messages: response.message[Symbol.asyncIterator]() };
    });
  // The failure reaches whoever reads; a stream that nobody reads must not end the process.
  opened.catch(() => {});

  async function next(): Promise<IteratorResult<MessageInit>> {
    const { response, messages } = await opened;
    const result = await messages.next();
    if (result.done) options.onTrailer?.(response.trailer);
    return result;
  }

  function stop(): Promise<IteratorResult<MessageInit>> {
    controller.abort(new ConnectError('the reader stopped', Code.Canceled));
    return Promise.resolve({ done: true, value: undefined });
  }
  return { [Symbol.asyncIterator]: () => ({ next, return: stop }) };
}
