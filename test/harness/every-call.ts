import { type DescField, type DescMessage, type DescMethod, type DescService, ScalarType } from '@bufbuild/protobuf';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';

const SERVICES: readonly DescService[] = [
  ...[AuthService, QuotaService, RouterService, RegistryService, InferenceService, TasksService],
  ...[Health, ServerReflection],
];

/** How much of a stream is read, in milliseconds: a watch never ends. */
const STREAM_MS = 500;

/** How long one call may take in all, in milliseconds: a load is one. */
const CALL_MS = 30_000;

/** How many calls run at a time. */
const AT_A_TIME = 16;

/** Ends a stream of the Connect protocol; beside it stands the error, if there was one. */
const END_OF_STREAM = 2;

/** What came back, as bytes. */
export interface RawAnswer {
  /** E.g. "POST /v1/models" or "mesh.auth.v1.AuthService/Login". */
  readonly call: string;
  readonly status: number;
  readonly isError: boolean;
  readonly bytes: Buffer;
}

/** What stands in a text field of this name. */
export type TextFor = (fieldName: string) => string;

/** Calls every RPC of every service and every route that the mesh tells of, with a body that has all fields and with an empty one. */
export async function everyCall(
  url: string,
  headers: Readonly<Record<string, string>>,
  textFor: TextFor,
  restBody: object,
): Promise<RawAnswer[]> {
  const { endpoints } = (await (await fetch(`${url}/`)).json()) as { endpoints: readonly string[] };
  const rpcs = SERVICES.flatMap(({ methods }) => methods).flatMap((method) =>
    [{}, filled(method.input, textFor)].map((body) => () => callRpc(url, method, headers, body)),
  );
  const routes = endpoints.flatMap((endpoint) =>
    [{}, restBody].map((body) => () => callRoute(url, endpoint.replace('{id}', 'attached'), headers, body)),
  );
  const answers: RawAnswer[] = [];
  const open = [...rpcs, ...routes];
  const work = async (): Promise<void> => {
    for (let call = open.shift(); call; call = open.shift()) answers.push(await call());
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return answers;
}

/** Calls one route of the REST side, "POST /path" or "GET /path". */
export async function callRoute(
  url: string,
  endpoint: string,
  headers: Readonly<Record<string, string>>,
  body: object,
): Promise<RawAnswer> {
  const [method = 'GET', path = '/'] = endpoint.split(' ');
  const withBody = method === 'POST' || method === 'PUT';
  return await read(endpoint, `${url}${path}`, {
    method,
    headers: { ...headers, ...(withBody ? { 'content-type': 'application/json' } : {}) },
    ...(withBody ? { body: JSON.stringify(body) } : {}),
  });
}

async function callRpc(
  url: string,
  method: DescMethod,
  headers: Readonly<Record<string, string>>,
  message: object,
): Promise<RawAnswer> {
  const call = `${method.parent.typeName}/${method.name}`;
  const json = Buffer.from(JSON.stringify(message));
  const isUnary = method.methodKind === 'unary';
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  const answer = await read(call, `${url}/${call}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': isUnary ? 'application/json' : 'application/connect+json' },
    body: isUnary ? json : Buffer.concat([head, json]),
  });
  return isUnary ? answer : { ...answer, isError: answer.isError || endsWithError(answer.bytes) };
}

async function read(call: string, address: string, init: RequestInit): Promise<RawAnswer> {
  const pieces: Uint8Array[] = [];
  let status = 0;
  const signal = AbortSignal.timeout(CALL_MS);
  try {
    const response = await fetch(address, { ...init, signal });
    status = response.status;
    pieces.push(Buffer.from(JSON.stringify([...response.headers])));
    const reader = response.body?.getReader();
    const cut = setTimeout(() => void reader?.cancel(), STREAM_MS);
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) pieces.push(part.value);
    clearTimeout(cut);
  } catch (error) {
    // What matters is what came until then.
    pieces.push(Buffer.from(String(error)));
  }
  return { call, status, isError: status >= 400 || status === 0, bytes: Buffer.concat(pieces) };
}

function endsWithError(bytes: Buffer): boolean {
  const trailer = bytes.subarray(bytes.lastIndexOf(Buffer.from('{"error"')) - 5);
  return trailer[0] === END_OF_STREAM;
}

/** A message in JSON with every text field set, of each oneof the first. */
function filled(message: DescMessage, textFor: TextFor, depth = 0): Record<string, unknown> {
  const fields = message.fields.filter((field) => !field.oneof || field.oneof.fields[0] === field);
  const entries = fields.map((field) => [field.jsonName, fieldValue(field, textFor, depth)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function fieldValue(field: DescField, textFor: TextFor, depth: number): unknown {
  const single = (): unknown => {
    if (field.scalar === ScalarType.STRING) return textFor(field.name);
    if (field.message && depth < 4 && !field.message.typeName.startsWith('google.')) {
      return filled(field.message, textFor, depth + 1);
    }
    return undefined;
  };
  const value = field.fieldKind === 'map' ? undefined : single();
  return field.fieldKind === 'list' && value !== undefined ? [value] : value;
}
