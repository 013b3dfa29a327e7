import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DescMethod, DescMethodStreaming, DescMethodUnary } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { createAsyncIterable } from '@connectrpc/connect/protocol';
import { createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { authorizationTable } from '../../services/auth/authorization-table.ts';
import { fromConnectError } from '../../services/shared/errors/connect-error.ts';
import { methodName } from '../../services/shared/interceptors/access.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { type Cast, makeCast, type Persona } from './cast.ts';
import { headersOf } from './cells.ts';
import { type CredentialForm, otherForms, truthfulForms } from './credential-forms.ts';
import { expectedAtGate } from './expected-outcome.ts';

/** One of each kind of access, and none that changes anything when it is asked for nothing. */
const METHODS: readonly DescMethod[] = [
  Health.method.check,
  QuotaService.method.getLimits,
  RegistryService.method.listNodes,
  AuthService.method.listUsers,
  QuotaService.method.release,
  RouterService.method.generate,
];

const PROTOCOLS: Readonly<Record<string, (baseUrl: string) => Transport>> = {
  'gRPC in binary': (baseUrl) => createGrpcTransport({ baseUrl }),
  'gRPC in JSON': (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat: false }),
  'gRPC-Web over HTTP/1.1': (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' }),
  'gRPC-Web over HTTP/2': (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' }),
};

/** What calls that ask for nothing end with where no gate holds them. */
const BEYOND_THE_GATE = ['INVALID_FIELD', 'MODEL_NOT_FOUND', 'NO_HEALTHY_ENGINE', 'NOT_IMPLEMENTED'];

const [arrangement = 'one process'] = arrangements().reverse();

/** What the arrangement of six processes gives all of them. */
const SHARED_TOKEN = 'test-token-0123456789abcdef0123456789abcdef';

describe(`one method of each kind and every credential, ${arrangement}`, () => {
  let mesh: TestMesh;
  let cast: Cast;
  let meshToken: string;

  beforeAll(async () => {
    mesh = await startMesh(arrangement, { args: ['--model', 'none'] });
    cast = await makeCast(mesh);
    const isOne = arrangement === 'one process';
    meshToken = isOne ? readFileSync(join(mesh.dataDir('auth'), 'mesh.token'), 'utf8').trim() : SHARED_TOKEN;
  });
  afterAll(async () => await mesh?.stop());

  test.each(Object.keys(PROTOCOLS))('%s', async (protocol) => {
    const transport = PROTOCOLS[protocol]?.(mesh.url);
    if (!transport) throw new Error('no such protocol');
    const truthful = cast.personas.flatMap((caller) => truthfulForms(caller).map((form) => ({ form, caller })));
    const others = otherForms(cast, meshToken).map((form) => ({ form, caller: cast.admin }));
    const forms = [...truthful, ...others].filter(({ form }) => !form.isHttp1 && form.query === undefined);
    const found: string[] = [];
    for (const method of METHODS) {
      for (const { form, caller } of forms) {
        const expected = expectedOf(method, form, caller);
        const outcome = await outcomeOf(transport, method, form);
        if (outcome !== expected)
          found.push(`${methodName(method)}, ${form.name}, ${caller.name}: ${outcome} instead of ${expected}`);
      }
    }
    expect(found).toEqual([]);
  });
});

function expectedOf(method: DescMethod, { meaning }: CredentialForm, caller: Persona): string {
  const access = authorizationTable.get(methodName(method));
  if (!access) throw new Error('no entry');
  return expectedAtGate(access, meaning, caller);
}

/** What the gate says; beyond it these calls end well or for want of what they need. */
async function outcomeOf(transport: Transport, method: DescMethod, form: CredentialForm): Promise<string> {
  const headers = new Headers();
  for (const [name, value] of headersOf(form)) headers.append(name, value);
  try {
    if (method.methodKind === 'unary') {
      await transport.unary(method as DescMethodUnary, undefined, undefined, headers, {});
    } else {
      const input = createAsyncIterable([{}]);
      const { message } = await transport.stream(method as DescMethodStreaming, undefined, undefined, headers, input);
      for await (const _ of message);
    }
    return 'ADMITTED';
  } catch (error) {
    const { reason, message } = fromConnectError(error);
    if (BEYOND_THE_GATE.includes(reason) || isDecidedLater(method, form, reason)) return 'ADMITTED';
    return reason === 'INTERNAL' ? `${reason}: ${message}` : reason;
  }
}

/** Generate looks at scopes itself, and runs nothing for a process of the mesh that names nobody. */
function isDecidedLater(method: DescMethod, { meaning }: CredentialForm, reason: string): boolean {
  if (method !== RouterService.method.generate) return false;
  return reason === 'SCOPE_MISSING' || (meaning === 'peer' && ['CREDENTIAL_MISSING', 'PEER_ONLY'].includes(reason));
}
