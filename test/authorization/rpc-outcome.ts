import { type DescMethod, fromBinary } from '@bufbuild/protobuf';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { Header, RawAnswer, RawRequest } from './wire.ts';

/** How a call ended: ADMITTED when it got beyond the gate, NOT_SERVED when the port does not know it, else the reason. */
export type Outcome = string;

/** Reasons that the gate gives; with any other error a call was admitted. */
const REFUSALS = [
  'CREDENTIAL_MISSING',
  'CREDENTIAL_INVALID',
  'CREDENTIAL_CONFLICT',
  'SCOPE_MISSING',
  'MODEL_NOT_GRANTED',
  'PEER_ONLY',
];

/** The machine was too busy to decide. */
const UNDECIDED = ['STORE_UNAVAILABLE', 'PEER_UNAVAILABLE', 'DEADLINE_EXCEEDED'];

/** No message has such a field: a call with this body does nothing, and the gate is asked before it is read. */
const UNREADABLE = Buffer.from('{"no such field":1}');

/** A call over Connect whose body no method can read, so that nothing but the gate decides what comes of it. */
export function unreadableCall(method: DescMethod, headers: readonly Header[], query: string): RawRequest {
  return connectCall(method, UNREADABLE, headers, query);
}

/** A call over Connect. */
export function connectCall(method: DescMethod, json: Buffer, headers: readonly Header[], query = ''): RawRequest {
  const isUnary = method.methodKind === 'unary';
  return {
    method: 'POST',
    path: `/${method.parent.typeName}/${method.name}${query}`,
    headers: [['content-type', isUnary ? 'application/json' : 'application/connect+json'], ...headers],
    body: isUnary ? json : envelope(json),
  };
}

/** What became of a call over Connect; undefined: ask again. */
export function rpcOutcome(method: DescMethod, answer: RawAnswer): Outcome | undefined {
  if (answer.status === 404 && isUnknownMethod(answer)) return 'NOT_SERVED';
  // Two directions at once need HTTP/2; nothing was asked.
  if (answer.status === 505) return 'NO_HTTP1';
  const error = method.methodKind === 'unary' ? unaryError(answer) : streamError(answer);
  if (!error) return 'ADMITTED';
  const info = error.details?.find(({ type }) => type === ErrorInfoSchema.typeName);
  const { reason = '', metadata = {} } = info ? fromBinary(ErrorInfoSchema, Buffer.from(info.value, 'base64')) : {};
  if (UNDECIDED.includes(reason)) return undefined;
  if (REFUSALS.includes(reason)) return reason;
  if (reason === 'INVALID_FIELD' && metadata.field === 'api_key') return 'KEY_IN_URL';
  if (['invalid_argument', 'unimplemented', 'not_found'].includes(error.code)) return 'ADMITTED';
  return `${error.code} ${reason}`;
}

/** Errors of a method have details; that there is no such method has none. */
function isUnknownMethod({ body }: RawAnswer): boolean {
  const { code, details } = JSON.parse(body.toString()) as Partial<ConnectErrorBody>;
  return code === undefined || (code === 'unimplemented' && details === undefined);
}

interface ConnectErrorBody {
  readonly code: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

function unaryError({ status, body }: RawAnswer): ConnectErrorBody | undefined {
  return status === 200 ? undefined : (JSON.parse(body.toString()) as ConnectErrorBody);
}

/** The last message of a stream says how it ended. */
function streamError({ body }: RawAnswer): ConnectErrorBody | undefined {
  for (let at = 0; at < body.length; at += 5 + body.readUInt32BE(at + 1)) {
    if ((body.readUInt8(at) & 2) === 0) continue;
    const end = body.subarray(at + 5, at + 5 + body.readUInt32BE(at + 1)).toString();
    return (JSON.parse(end) as { error?: ConnectErrorBody }).error;
  }
  throw new Error('a stream without an end');
}

function envelope(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
