// A client of @grpc/grpc-js, its messages by @grpc/proto-loader from our protos: does what it is told by lines of JSON.
//
//   node test/clients/node/client.ts <directory of the protos>
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as grpc from '@grpc/grpc-js';
import { load, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { Command, Told, ToldDetails } from '../rpc-client.ts';

const LARGEST_BYTES = 16 * 2 ** 20;
const proto = process.argv[2] ?? '';

const files = ['mesh/router/v1/router_service.proto', 'google/rpc/status.proto', 'google/rpc/error_details.proto'];
const includeDirs = [proto, join(proto, 'third_party')];
const definitions = await load(files, { includeDirs, enums: String, longs: Number, oneofs: true, defaults: true });

// biome-ignore lint/suspicious/noExplicitAny: what proto-loader makes while it runs has no types.
type Untyped = any;
type Call = Exclude<Command, { do: 'connect' }>;

const { RouterService } = (grpc.loadPackageDefinition(definitions) as Untyped).mesh.router.v1;
let client: Untyped;

function connect({ address, ca, keepaliveMs }: Extract<Command, { do: 'connect' }>): Told {
  client?.close();
  const credentials = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
  client = new RouterService(address, credentials, {
    'grpc.max_receive_message_length': LARGEST_BYTES,
    ...(keepaliveMs ? { 'grpc.keepalive_time_ms': keepaliveMs, 'grpc.keepalive_timeout_ms': 20_000 } : {}),
  });
  return { code: 'OK' };
}

function metadataOf({ key, requestId }: Call): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${key}`);
  if (requestId) metadata.set('x-request-id', requestId);
  return metadata;
}

const optionsOf = ({ timeoutMs }: Call): grpc.CallOptions => (timeoutMs ? { deadline: Date.now() + timeoutMs } : {});

const decode = (type: string, bytes: Buffer): Untyped =>
  (definitions[type] as MessageTypeDefinition<object, object>).deserialize(bytes);

/** The details of an error stand in a trailer, as google.rpc.Status. */
function detailsOf(error: grpc.ServiceError): ToldDetails {
  const [status] = error.metadata.get('grpc-status-details-bin');
  const any: { type_url: string; value: Buffer }[] = status
    ? decode('google.rpc.Status', status as Buffer).details
    : [];
  const find = (type: string): Untyped => {
    const found = any.find(({ type_url }) => type_url.endsWith(`/${type}`));
    return found && decode(type, found.value);
  };
  const { reason, domain, metadata } = find('google.rpc.ErrorInfo') ?? {};
  const delay = find('google.rpc.RetryInfo')?.retryDelay;
  const violations = find('google.rpc.QuotaFailure')?.violations.map((each: Untyped) => ({
    ...{ subject: each.subject, description: each.description, quotaId: each.quotaId },
  }));
  return {
    reason,
    domain,
    metadata,
    violations,
    ...(delay && { retryDelayMs: delay.seconds * 1e3 + delay.nanos / 1e6 }),
  };
}

function failureOf(error: grpc.ServiceError): Told {
  return { code: grpc.status[error.code] ?? 'UNKNOWN', message: error.details, details: detailsOf(error) };
}

function unary(method: string, request: object, call: Call, tell: (answer: Untyped) => Partial<Told>): Promise<Told> {
  return new Promise((resolve) => {
    let requestIdHeader = '';
    const running = client[method](
      request,
      metadataOf(call),
      optionsOf(call),
      (error: grpc.ServiceError, answer: unknown) =>
        resolve(error ? failureOf(error) : { code: 'OK', requestIdHeader, ...tell(answer) }),
    );
    running.on('metadata', (header: grpc.Metadata) => {
      requestIdHeader = String(header.get('x-request-id')[0]);
    });
  });
}

function generate(call: Extract<Command, { do: 'generate' }>): Promise<Told> {
  const told: { -readonly [K in keyof Told]: Told[K] } & { text: string; events: string[] } = {
    code: 'OK',
    text: '',
    events: [],
  };
  const request = { prompt: { text: 'hi' }, sampling: { maxTokens: call.maxTokens } };
  const stream = client.Generate(request, metadataOf(call), optionsOf(call));
  let deltas = 0;
  stream.on('metadata', (header: grpc.Metadata) => {
    told.requestIdHeader = String(header.get('x-request-id')[0]);
  });
  stream.on('data', ({ event, started, delta, usage }: Untyped) => {
    told.events.push(event);
    if (started) told.requestId = started.requestId;
    if (usage) told.completionTokens = usage.completionTokens;
    if (!delta) return;
    told.text += delta.text;
    deltas += 1;
    if (deltas === call.cancelAfterDeltas) stream.cancel();
  });
  return new Promise((resolve) => {
    stream.on('error', (error: grpc.ServiceError) => resolve({ ...told, ...failureOf(error) }));
    stream.on('end', () => resolve(told));
  });
}

function run(command: Command): Told | Promise<Told> {
  switch (command.do) {
    case 'connect':
      return connect(command);
    case 'models':
      return unary('ListModels', {}, command, ({ models }) => ({ models: models.map(({ id }: Untyped) => id) }));
    case 'generate':
      return generate(command);
    case 'embed': {
      const inputs = Array(command.count).fill({ text: 'x'.repeat(command.textBytes) });
      const vectorsOf = ({ embeddings }: Untyped) =>
        embeddings.map(({ values }: { values: number[] }) => [values.length, values.at(-1)]);
      const request = { inputs, dimensions: command.dimensions };
      return unary('Embed', request, command, (answer) => ({ vectors: vectorsOf(answer) }));
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(JSON.parse(line))));
}
client?.close();
