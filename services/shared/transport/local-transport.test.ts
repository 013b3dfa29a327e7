import { create } from '@bufbuild/protobuf';
import { Code, type ConnectError, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { TokenizeRequestSchema, TokenizeResponseSchema } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError, toConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { createMeshClient } from './client.ts';
import { BEARER, delta, eventually, silent, testAuthorizer } from './listener.fixture.ts';
import { createLocalTransport } from './local-transport.ts';

const contexts: HandlerContext[] = [];
const received: unknown[] = [];
const answer = create(TokenizeResponseSchema, { tokenIds: [7] });
let finalized = 0;

const transport = createLocalTransport(
  [
    (router) =>
      router.service(RouterService, {
        async tokenize(request, context) {
          contexts.push(context);
          received.push(request);
          if (request.model === 'mesh') throw new MeshError('MODEL_NOT_FOUND', 'none', { metadata: { model: 'mesh' } });
          if (request.model === 'broken') throw new Error('hunter2');
          if (request.model === 'hang') await new Promise(() => {});
          context.responseHeader.set('x-answer', 'yes');
          return answer;
        },
        async *generate(request, context) {
          contexts.push(context);
          received.push(request);
          try {
            yield delta('one');
            if (request.model === 'fail') throw new MeshError('ENGINE_LOST', 'gone');
            if (request.model === 'hang')
              await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
            for (let count = 0; request.model === 'forever' && count < 1e9; count += 1) yield delta('more');
          } finally {
            finalized += 1;
          }
        },
        async *attach(commands) {
          for await (const _ of commands) yield { events: [] };
        },
      }),
  ],
  { authorizer: testAuthorizer(), log: silent },
);
const client = createMeshClient(RouterService, transport);
const text = (model: string) => ({ model, prompt: { input: { case: 'text' as const, value: 'x' } } });
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => fromConnectError(error).reason,
  );

test('messages are handed over as they are', async () => {
  const request = create(TokenizeRequestSchema, text('m'));
  const headers: string[] = [];
  const response = await client.tokenize(request, { onHeader: (header) => headers.push(header.get('x-answer') ?? '') });
  expect(response).toBe(answer);
  expect(received.at(-1)).toBe(request);
  expect(headers).toEqual(['yes']);
});

test('an init is completed', async () => {
  await client.tokenize(text('m'));
  expect(received.at(-1)).toMatchObject({ $typeName: 'mesh.inference.v1.TokenizeRequest', model: 'm' });
});

test('a call of the process is a peer; one with a credential is its caller, authorized and validated', async () => {
  await client.tokenize(text('m'));
  expect(contexts.at(-1)?.values.get(principalKey)).toBe(PEER_PRINCIPAL);
  await client.tokenize(text('m'), { headers: BEARER });
  expect(contexts.at(-1)?.values.get(principalKey)?.keyId).toBe('k1');
  expect(await reasonOf(client.tokenize(text('m'), { headers: { 'x-api-key': 'wrong' } }))).toBe('CREDENTIAL_INVALID');
  expect(await reasonOf(client.tokenize(text('m'), { headers: { 'mesh-forwarded': '1' } }))).toBe('CREDENTIAL_MISSING');
  expect(await reasonOf(client.embed({}, { headers: BEARER }))).toBe('PEER_ONLY');
  expect(await reasonOf(client.tokenize({}, { headers: BEARER }))).toBe('INVALID_FIELD');
});

test('a caller cannot pass a principal of its own making', async () => {
  const contextValues = { get: () => PEER_PRINCIPAL, set: () => contextValues, delete: () => contextValues } as never;
  await client.tokenize(text('m'), { headers: BEARER, contextValues });
  expect(contexts.at(-1)?.values.get(principalKey)?.keyId).toBe('k1');
});

test('errors are those of the handler; faults are logged and tell nothing', async () => {
  expect(await reasonOf(client.tokenize(text('mesh')))).toBe('MODEL_NOT_FOUND');
  const lines: string[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => lines.push(line) });
  const local = createLocalTransport(
    [(router) => router.service(RouterService, { tokenize: () => Promise.reject(new Error('hunter2')) })],
    { authorizer: testAuthorizer(), log },
  );
  const call = createMeshClient(RouterService, local).tokenize(text('x'), { headers: { 'x-request-id': 'req-7' } });
  const error = await call.catch((reason: unknown) => reason as ConnectError);
  expect(error).toMatchObject({ code: Code.Internal });
  expect(String(error)).not.toContain('hunter2');
  expect(lines.join()).toContain('hunter2');
  expect(lines.join()).toContain('req-7');
});

test('what is not served is UNIMPLEMENTED', async () => {
  expect(await reasonOf(client.explainRoute({}))).toBe('NOT_IMPLEMENTED');
});

test('client interceptors run', async () => {
  const names: string[] = [];
  const spy: Interceptor = (next) => (req) => {
    names.push(req.method.name);
    return next(req);
  };
  const local = createLocalTransport([(router) => router.service(RouterService, { tokenize: () => answer })], {
    authorizer: testAuthorizer(),
    log: silent,
    interceptors: [spy],
  });
  await createMeshClient(RouterService, local).tokenize(text('m'));
  expect(names).toEqual(['Tokenize']);
});

test('a deadline ends a call whose handler does not look', async () => {
  const startedAt = performance.now();
  expect(await reasonOf(client.tokenize(text('hang'), { timeoutMs: 50 }))).toBe('DEADLINE_EXCEEDED');
  expect(performance.now() - startedAt).toBeLessThan(500);
  expect(contexts.at(-1)?.signal.aborted).toBe(true);
  // The timer and the clock that tells what is left round differently by up to a millisecond.
  expect(contexts.at(-1)?.timeoutMs()).toBeLessThanOrEqual(1);
});

test('a cancelled call aborts its handler', async () => {
  const aborter = new AbortController();
  const call = client.tokenize(text('hang'), { signal: aborter.signal });
  aborter.abort(new MeshError('CLIENT_GONE', 'gone'));
  expect(await reasonOf(call)).toBe('CLIENT_GONE');
  expect(contexts.at(-1)?.signal.aborted).toBe(true);
});

test('what a handler left running hears that its call is over, whenever it looks', async () => {
  await client.tokenize(text('m'));
  expect(contexts.at(-1)?.signal.aborted).toBe(true);
  const before = contexts.length;
  expect(
    await reasonOf(client.tokenize(text('m'), { signal: AbortSignal.abort(new MeshError('CLIENT_GONE', '')) })),
  ).toBe('CLIENT_GONE');
  expect(contexts).toHaveLength(before);
});

test('a stream that is left aborts its handler', async () => {
  const before = finalized;
  for await (const _ of client.generate(text('forever'))) break;
  await eventually(() => contexts.at(-1)?.signal.aborted === true, 'the signal aborts');
  await eventually(() => finalized > before, 'the generator ends');
});

test('a stream that is cancelled while it waits ends at once', async () => {
  const aborter = new AbortController();
  const iterator = client.generate(text('hang'), { signal: aborter.signal })[Symbol.asyncIterator]();
  await iterator.next();
  const waiting = iterator.next();
  aborter.abort(new MeshError('CLIENT_GONE', 'gone'));
  expect(await reasonOf(waiting)).toBe('CLIENT_GONE');
  expect(contexts.at(-1)?.signal.aborted).toBe(true);
});

test('a stream delivers, then fails as its handler does', async () => {
  const seen: unknown[] = [];
  const read = async () => {
    for await (const event of client.generate(text('fail'))) seen.push(event);
  };
  expect(await reasonOf(read())).toBe('ENGINE_LOST');
  expect(seen).toEqual([create(GenerationEventSchema, { event: { case: 'delta', value: { text: 'one' } } })]);
  const request = create(GenerateRequestSchema, text('m'));
  for await (const _ of client.generate(request)) expect(received.at(-1)).toBe(request);
});

test('both sides may stream', async () => {
  let answers = 0;
  async function* commands() {
    yield { commands: [] };
    yield { commands: [] };
  }
  for await (const _ of client.attach(commands())) answers += 1;
  expect(answers).toBe(2);
});

test('an error of ours that came from a peer passes', async () => {
  const local = createLocalTransport(
    [
      (router) =>
        router.service(RouterService, {
          tokenize() {
            throw toConnectError(new MeshError('QUEUE_FULL', 'from a peer'));
          },
        }),
    ],
    { authorizer: testAuthorizer(), log: silent },
  );
  const call = createMeshClient(RouterService, local).tokenize(text('m'));
  await expect(call).rejects.toMatchObject({ code: Code.Unavailable, rawMessage: 'from a peer' });
});
