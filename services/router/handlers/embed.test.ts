import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type Client,
  createClient,
  createRouterTransport,
  type Interceptor,
  type ServiceImpl,
} from '@connectrpc/connect';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { CredentialKind, PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService, type ReserveRequest } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegisterRequestSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError, toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { createErrorInterceptor, createErrorMapper } from '../../shared/interceptors/errors.ts';
import { PEER_PRINCIPAL, principalKey } from '../../shared/interceptors/principal.ts';
import { createMeshClient } from '../../shared/transport/client.ts';
import { routerConfigSchema } from '../config.ts';
import { createRouterContext, type RouterContext } from '../context.ts';
import { routerRoutes } from '../routes.ts';

type NodeImpl = Partial<ServiceImpl<typeof InferenceService>>;

const log = pino({ level: 'silent' });
const texts = (...values: string[]) => values.map((value) => ({ input: { case: 'text' as const, value } }));
const somebody = create(PrincipalSchema, { keyId: 'k', kind: CredentialKind.API_KEY, scopes: [Scope.GENERATE] });

/** What quota was told, in order. */
let told: string[];
let reserved: ReserveRequest | undefined;
/** The engines that were asked, as "node/engine". */
let asked: string[];
/** What the nodes do, by their addresses. */
let nodes: Record<string, NodeImpl>;
let caller: typeof somebody;
let context: RouterContext;
let client: Client<typeof RouterService>;

beforeEach(() => {
  told = [];
  reserved = undefined;
  asked = [];
  nodes = {};
  caller = somebody;
  const quota = createRouterTransport((router) =>
    router.service(QuotaService, {
      reserve: (request) => {
        reserved = request;
        told.push('reserve');
        return { limits: [{ remaining: 29n }] };
      },
      settle: ({ promptTokens, engine }) => {
        told.push(`settle ${promptTokens} ${engine}`);
        return {};
      },
      release: () => {
        told.push('release');
        return {};
      },
    }),
  );
  context = createRouterContext(routerConfigSchema.parse({}), {
    authenticate: async () => caller,
    quota: createClient(QuotaService, quota),
    generateAt: () => () => expect.fail('nothing is generated'),
    inferenceAt: (address) =>
      createMeshClient(
        InferenceService,
        createRouterTransport((router) => router.service(InferenceService, nodes[address] ?? {})),
      ),
    now: Date.now,
    log,
  });
  const signIn: Interceptor = (next) => (request) => {
    request.contextValues.set(principalKey, caller);
    return next(request);
  };
  const interceptors = [createErrorInterceptor(createErrorMapper(log)), signIn];
  const vouching = { verify: () => expect.fail('nobody vouches') };
  const transport = createRouterTransport(routerRoutes(context, vouching), { router: { interceptors } });
  client = createMeshClient(RouterService, transport);
});

/** What of an engine the tests vary. */
type Reported = Pick<MessageInitShape<typeof EngineSchema>, 'state' | 'contextTokens'> & { readonly isAble?: boolean };

/** Registers a node with one engine `e` of the model `m`. */
function node(name: string, impl: NodeImpl, { isAble = true, ...engine }: Reported = {}): void {
  nodes[name] = impl;
  const capabilities = { embeddings: isAble, tokenize: isAble };
  const one = create(EngineSchema, { name: 'e', modelId: 'm', state: EngineState.READY, capabilities, ...engine });
  const report = create(RegisterRequestSchema, { node: name, epoch: 1n, address: name, engines: [one] });
  context.registry.report(report, { epochMs: 0, monotonicMs: performance.now() });
}

const answering = (name: string): NodeImpl => ({
  embed: ({ model, inputs }) => {
    asked.push(`${name}/${model}`);
    return { embeddings: inputs.map(() => ({ values: [1] })), promptTokens: 7, modelId: 'm' };
  },
  tokenize: ({ model }) => {
    asked.push(`${name}/${model}`);
    return { tokenIds: [1, 2] };
  },
});

const failing = (name: string, error: MeshError): NodeImpl => ({
  embed: ({ model }) => {
    asked.push(`${name}/${model}`);
    throw toConnectError(error);
  },
});

const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => expect.fail('it succeeded'),
    (error: unknown) => fromConnectError(error).reason,
  );

async function expectTold(...expected: string[]): Promise<void> {
  await context.settlement.idle();
  expect(told).toEqual(expected);
  for (const name of Object.keys(nodes)) expect(context.chooser.loads.of(`${name}/e`).requests).toBe(0);
}

test('one request and its prompt are reserved, what the engine counted is charged', async () => {
  node('a', answering('a'), { contextTokens: 100 });
  const { embeddings, promptTokens, limits } = await client.embed({
    model: 'm',
    inputs: texts('abc', 'x'.repeat(1_000)),
  });
  expect([embeddings.length, promptTokens, asked]).toEqual([2, 7, ['a/e']]);
  expect(limits).toMatchObject([{ remaining: 29n }]);
  // The second text is longer than the context that it must fit into.
  expect(reserved).toMatchObject({ model: 'm', engine: 'e', promptTokens: 107, maxCompletionTokens: 0 });
  await expectTold('reserve', 'settle 7 e');
});

test('when an engine cannot, another one is asked, once, for the same lease', async () => {
  const lost = new MeshError('ENGINE_LOST', 'gone');
  node('a', failing('a', lost));
  node('b', failing('b', lost));
  node('c', failing('c', lost));
  expect(await reasonOf(client.embed({ model: 'm', inputs: texts('x') }))).toBe('ENGINE_LOST');
  expect(new Set(asked).size).toBe(2);
  expect(asked).toHaveLength(2);
  await expectTold('reserve', 'release');
  told = [];
  for (const name of ['a', 'b', 'c']) if (name !== asked[0]?.split('/')[0]) nodes[name] = answering(name);
  for (let i = 0; i < 10; i += 1) await client.embed({ model: 'm', inputs: texts('x') });
  await expectTold(...Array.from({ length: 10 }, () => ['reserve', 'settle 7 e']).flat());
});

test('what another engine would refuse too is not tried there', async () => {
  node('a', failing('a', new MeshError('CONTEXT_LENGTH_EXCEEDED', 'too long')));
  node('b', failing('b', new MeshError('CONTEXT_LENGTH_EXCEEDED', 'too long')));
  expect(await reasonOf(client.embed({ model: 'm', inputs: texts('x') }))).toBe('CONTEXT_LENGTH_EXCEEDED');
  expect(asked).toHaveLength(1);
  await expectTold('reserve', 'release');
});

test('who leaves while the engine computes has used a request, and the engine is told', async () => {
  let aborted = false;
  const reached = Promise.withResolvers<void>();
  node('a', {
    embed: async (_request, { signal }) => {
      reached.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      aborted = true;
      return {};
    },
  });
  const leaving = new AbortController();
  const call = client.embed({ model: 'm', inputs: texts('x') }, { signal: leaving.signal });
  const failed = reasonOf(call);
  await reached.promise;
  leaving.abort();
  await failed;
  await expect.poll(() => aborted).toBe(true);
  await expect.poll(() => told).toEqual(['reserve', 'settle 0 e']);
  await expectTold('reserve', 'settle 0 e');
});

test('only engines that can are asked; a model without any is told by name, and nothing is reserved', async () => {
  node('a', answering('a'), { isAble: false });
  expect(await reasonOf(client.embed({ model: 'm', inputs: texts('x') }))).toBe('UNSUPPORTED_FIELD');
  node('b', answering('b'));
  for (let i = 0; i < 10; i += 1) await client.embed({ model: 'm', inputs: texts('x') });
  expect(new Set(asked)).toEqual(new Set(['b/e']));
  node('b', answering('b'), { state: EngineState.UNHEALTHY });
  told = [];
  expect(await reasonOf(client.embed({ model: 'm', inputs: texts('x') }))).toBe('NO_HEALTHY_ENGINE');
  expect(told).toEqual([]);
});

test('a process of the mesh makes vectors for nobody: somebody must be charged', async () => {
  node('a', answering('a'));
  caller = PEER_PRINCIPAL;
  expect(await reasonOf(client.embed({ model: 'm', inputs: texts('x') }))).toBe('CREDENTIAL_MISSING');
  expect(asked).toEqual([]);
});

test('tokens are told without quota, and not of a model that is not granted', async () => {
  node('a', answering('a'));
  const [prompt] = texts('x');
  expect((await client.tokenize({ model: 'm', prompt: prompt ?? {} })).tokenIds).toEqual([1, 2]);
  await expectTold();
  caller = create(PrincipalSchema, { ...somebody, models: ['other'] });
  expect(await reasonOf(client.tokenize({ model: 'm', prompt: prompt ?? {} }))).toBe('MODEL_NOT_GRANTED');
});
