import { createHash } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { durationFromMs, durationMs, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { type GenerateRequest, GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { StoredWorkSchema } from '../../gen/mesh/tasks/v1/stored_work_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { identityOf } from '../shared/interceptors/on-behalf-of.ts';
import type { TraceHeaders } from '../shared/observability/trace-headers.ts';

/** What a worker needs to run a task. */
export interface Work {
  readonly request: GenerateRequest;
  /** Who submitted it; only who that is counts. */
  readonly principal: Principal;
  readonly clientIp: string | undefined;
  /** Bounds one run, in milliseconds. */
  readonly timeLimitMs: number;
  /** Milliseconds since the epoch. */
  readonly submittedAtMs: number;
  /** The trace that it was submitted in. */
  readonly trace?: TraceHeaders | undefined;
}

/** As the store keeps it. */
export function encodeWork({
  request,
  principal,
  clientIp = '',
  timeLimitMs,
  submittedAtMs,
  trace = {},
}: Work): Uint8Array {
  const stored = create(StoredWorkSchema, {
    request,
    principal: identityOf(principal),
    clientIp,
    timeLimit: durationFromMs(timeLimitMs),
    submittedAt: timestampFromMs(submittedAtMs),
    trace,
  });
  return toBinary(StoredWorkSchema, stored);
}

/** @throws MeshError INTERNAL for what encodeWork did not make. */
export function decodeWork(bytes: Uint8Array): Work {
  const { request, principal, clientIp, timeLimit, submittedAt, trace } = fromBinary(StoredWorkSchema, bytes);
  if (!request || !principal || !timeLimit || !submittedAt) {
    throw new MeshError('INTERNAL', 'A task cannot be read.');
  }
  return {
    ...{ request, principal, clientIp: clientIp || undefined },
    ...{ timeLimitMs: durationMs(timeLimit), submittedAtMs: timestampMs(submittedAt) },
    trace: Object.keys(trace).length > 0 ? trace : undefined,
  };
}

/** Tells one request from another under the same idempotency key. Maps count the same in any order: clients may send them so. */
export function fingerprintOf(request: GenerateRequest): string {
  return createHash('sha256').update(JSON.stringify(request, inOneOrder)).digest('base64url');
}

function inOneOrder(_member: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Tokens that are assumed where a request names no bound. */
const UNBOUNDED_TOKENS = 512;

/** What a task takes of its organisation's share of turns, in tokens: a token is about four bytes of a prompt. */
export function costOf(request: GenerateRequest): number {
  const promptTokens = Math.ceil(toBinary(GenerateRequestSchema, request).length / 4);
  return promptTokens + (request.sampling?.maxTokens ?? UNBOUNDED_TOKENS);
}
