import { setTimeout as delay } from 'node:timers/promises';
import { create, type DescMessage, type Message } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type { Routes } from '../../services/shared/transport/routes.ts';
import type { Contract, Header, Request, StreamDefinition, UnaryDefinition, WantedError } from './contract.ts';

type Unary = Request<UnaryDefinition>;
type Stream = Request<StreamDefinition>;

/** ConformanceService as its contract describes it: calls say what they want to be answered, and are told what came. */
export function conformanceRoutes(contract: Contract): Routes {
  const requestInfo = contract.message('ConformancePayload.RequestInfo');
  const packed = (request: Message) => anyPack(contract.types.getMessage(request.$typeName) as DescMessage, request);

  function infoOf(context: HandlerContext, requests: Any[]): Message {
    const query = new URL(context.url).searchParams;
    return create(requestInfo, {
      requestHeaders: headersOf(context.requestHeader),
      requests,
      timeoutMs: toLong(context.timeoutMs()),
      ...(context.requestMethod === 'GET' && { connectGetInfo: { queryParams: headersOf(query) } }),
    });
  }

  async function answer(definition: UnaryDefinition | undefined, requests: Any[], context: HandlerContext) {
    announce(definition, context);
    const info = infoOf(context, requests);
    await delay(definition?.responseDelayMs ?? 0);
    const { response } = definition ?? {};
    if (response?.case === 'error') throw wantedError(response.value, [anyPack(requestInfo, info)]);
    return { payload: { requestInfo: info, ...(response?.case === 'responseData' && { data: response.value }) } };
  }

  /** Those from `sent` on; the first of all brings what came. */
  async function* answers(definition: StreamDefinition | undefined, sent: number, info: Message) {
    for (const [index, data] of (definition?.responseData ?? []).entries()) {
      if (index < sent) continue;
      await delay(definition?.responseDelayMs ?? 0);
      yield { payload: { data, ...(index === 0 && { requestInfo: info }) } };
    }
    if (!definition?.error) return;
    throw wantedError(definition.error, definition.responseData.length === 0 ? [anyPack(requestInfo, info)] : []);
  }

  const service = {
    unary: (request: Unary, context: HandlerContext) => answer(request.responseDefinition, [packed(request)], context),
    idempotentUnary: (request: Unary, context: HandlerContext) =>
      answer(request.responseDefinition, [packed(request)], context),
    async clientStream(requests: AsyncIterable<Unary>, context: HandlerContext) {
      const all = await Array.fromAsync(requests);
      return answer(all[0]?.responseDefinition, all.map(packed), context);
    },
    serverStream(request: Stream, context: HandlerContext) {
      announce(request.responseDefinition, context);
      return answers(request.responseDefinition, 0, infoOf(context, [packed(request)]));
    },
    async *bidiStream(requests: AsyncIterable<Stream>, context: HandlerContext) {
      let first: Stream | undefined;
      let sent = 0;
      let unanswered: Any[] = [];
      for await (const request of requests) {
        if (!first) announce(request.responseDefinition, context);
        first ??= request;
        unanswered.push(packed(request));
        if (!first.fullDuplex) continue;
        const data = first.responseDefinition?.responseData[sent];
        if (data === undefined) break;
        await delay(first.responseDefinition?.responseDelayMs);
        const info = sent === 0 ? infoOf(context, unanswered) : create(requestInfo, { requests: unanswered });
        yield { payload: { data, requestInfo: info } };
        sent += 1;
        unanswered = [];
      }
      yield* answers(first?.responseDefinition, sent, infoOf(context, unanswered));
    },
  };
  // `unimplemented` has no handler, as the suite wants it. The types of a contract read at run time say nothing.
  return (router) => router.service(contract.service, service as unknown as ServiceImpl<typeof contract.service>);
}

/** Sets what the answer begins and ends with. */
function announce(definition: UnaryDefinition | StreamDefinition | undefined, context: HandlerContext): void {
  const append = (wanted: Header[] | undefined, to: Headers) => {
    for (const { name, value } of wanted ?? []) for (const each of value) to.append(name, each);
  };
  append(definition?.responseHeaders, context.responseHeader);
  append(definition?.responseTrailers, context.responseTrailer);
}

function wantedError({ code, message, details }: WantedError, more: Any[]): ConnectError {
  const error = new ConnectError(message ?? '', code);
  error.details = [...details, ...more].map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
    value,
  }));
  return error;
}

function headersOf(pairs: Iterable<[string, string]>): Header[] {
  const byName = new Map<string, string[]>();
  for (const [name, value] of pairs) byName.set(name, [...(byName.get(name) ?? []), value]);
  return [...byName].map(([name, value]) => ({ name, value }));
}

function toLong(milliseconds: number | undefined): bigint | undefined {
  return milliseconds === undefined ? undefined : BigInt(Math.round(milliseconds));
}
