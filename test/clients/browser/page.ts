// A client of @connectrpc/connect-web for a page: does what it is told by `tell`, over the protocol that the page's address names.
import { create } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { type CallOptions, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import { ErrorInfoSchema, QuotaFailureSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import type { Command, Told, ToldDetails } from '../rpc-client.ts';

type Call = Exclude<Command, { do: 'connect' }>;

/** What a page has of a browser, as far as it is used here. */
const page = globalThis as unknown as { location: { hash: string }; tell: (command: Command) => Promise<Told> };

function transportTo({ address, ca }: Extract<Command, { do: 'connect' }>): Transport {
  const options = { baseUrl: `${ca ? 'https' : 'http'}://${address}` };
  return page.location.hash === '#grpc-web' ? createGrpcWebTransport(options) : createConnectTransport(options);
}

let client: ReturnType<typeof createClient<typeof RouterService>>;

type Writable = { -readonly [K in keyof Told]: Told[K] };

function optionsOf({ key, requestId, timeoutMs }: Call, told: Writable): CallOptions {
  return {
    headers: { authorization: `Bearer ${key}`, ...(requestId === undefined ? {} : { 'x-request-id': requestId }) },
    onHeader(header) {
      told.requestIdHeader = header.get('x-request-id') ?? '';
    },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function detailsOf(error: ConnectError): ToldDetails {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const [quota] = error.findDetails(QuotaFailureSchema);
  return {
    ...(info && { reason: info.reason, domain: info.domain, metadata: info.metadata }),
    ...(retry?.retryDelay && { retryDelayMs: durationMs(retry.retryDelay) }),
    ...(quota && {
      violations: quota.violations.map(({ subject, description, quotaId }) => ({ subject, description, quotaId })),
    }),
  };
}

/** Runs a call; what it throws is told as gRPC names it, e.g. "DEADLINE_EXCEEDED". */
async function telling(run: (told: Writable) => Promise<void>): Promise<Told> {
  const told: Writable = { code: 'OK' };
  try {
    await run(told);
    return told;
  } catch (reason) {
    const error = ConnectError.from(reason);
    const code = Code[error.code]?.replace(/(?<=[a-z])[A-Z]/g, '_$&').toUpperCase() ?? '';
    const name = code === 'CANCELED' ? 'CANCELLED' : code;
    return { ...told, code: name, message: error.rawMessage, details: detailsOf(error) };
  }
}

const prompt = (value: string) => ({ input: { case: 'text' as const, value } });

function generate(call: Extract<Command, { do: 'generate' }>): Promise<Told> {
  return telling(async (told) => {
    const cancel = new AbortController();
    const request = create(GenerateRequestSchema, { prompt: prompt('hi'), sampling: { maxTokens: call.maxTokens } });
    const events: string[] = [];
    let deltas = 0;
    Object.assign(told, { events, text: '' });
    for await (const { event } of client.generate(request, { ...optionsOf(call, told), signal: cancel.signal })) {
      events.push(event.case ?? '');
      if (event.case === 'started') told.requestId = event.value.requestId;
      if (event.case === 'usage') told.completionTokens = event.value.completionTokens;
      if (event.case !== 'delta') continue;
      told.text += event.value.text;
      deltas += 1;
      if (deltas === call.cancelAfterDeltas) cancel.abort();
    }
  });
}

page.tell = async (command) => {
  switch (command.do) {
    case 'connect':
      client = createClient(RouterService, transportTo(command));
      return { code: 'OK' };
    case 'models':
      return telling(async (told) => {
        const { models } = await client.listModels({}, optionsOf(command, told));
        told.models = models.map(({ id }) => id);
      });
    case 'generate':
      return generate(command);
    case 'embed':
      return telling(async (told) => {
        const inputs = Array.from({ length: command.count }, () => prompt('x'.repeat(command.textBytes)));
        const { embeddings } = await client.embed({ inputs, dimensions: command.dimensions }, optionsOf(command, told));
        told.vectors = embeddings.map(({ values }) => [values.length, values.at(-1) ?? 0]);
      });
  }
};
