import { create, toBinary } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import type { Workload } from '../harness/workloads.ts';
import type { RunningPeer } from './peer.ts';

const ROLES: Readonly<Record<string, Role>> = { system: Role.SYSTEM, user: Role.USER };

/** A running mesh as its callers by gRPC see it. The CPU is the same process's: the two are never loaded at a time. */
export function overGrpc(mesh: RunningPeer, loadProgram: string): RunningPeer {
  return { ...mesh, loadProgram, encode };
}

/** The same request as over REST. */
function encode({ model, messages, temperature, max_tokens: maxTokens, seed }: Workload['body']): Uint8Array {
  const asked = messages as readonly { role: string; content: string }[];
  const chat = asked.map(({ role, content }) => ({
    role: ROLES[role] ?? Role.UNSPECIFIED,
    parts: [{ part: { case: 'text' as const, value: content } }],
  }));
  const sampling = {
    maxTokens,
    ...{ temperature: temperature as number, seed: BigInt((seed as number | undefined) ?? 0) },
  };
  const prompt = { input: { case: 'chat' as const, value: { messages: chat } } };
  return toBinary(GenerateRequestSchema, create(GenerateRequestSchema, { model, prompt, sampling }));
}
