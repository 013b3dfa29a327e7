import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { type FleetMesh, startFleetMesh } from '../harness/fleet-mesh.ts';
import { eventually } from '../harness/processes.ts';

const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 180_000;

/**
 * What was said before is computed in larger batches when another engine goes on, whose sums differ in the last bits. For the
 * prompts below the likeliest token is by 0.0018 or more likelier than the next one (as logarithms) for as many tokens: ten
 * times what the sums differ by.
 */
const TOKENS = 900;
/** How often a test tries to be quicker than an engine. */
const ATTEMPTS = 5;

const saying = (value: string) => ({
  input: {
    case: 'chat' as const,
    value: { messages: [{ role: Role.USER, parts: [{ part: { case: 'text' as const, value } }] }] },
  },
});
const CASES = [
  ['a conversation', { prompt: saying('fire') }],
  ['a text', { prompt: { input: { case: 'text' as const, value: 'hill fire' } } }],
  ['penalties', { prompt: saying('bird city'), sampling: { frequencyPenalty: 0.4 } }],
] as const;
type Asked = (typeof CASES)[number][1] & { readonly sampling?: object };

/** A whole answer. */
interface Answer {
  readonly text: string;
  readonly resumed: readonly string[];
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number } | undefined;
}

// The last test ends a node.
describe('the embedded engine of another node goes on, byte for byte', () => {
  let mesh: FleetMesh;
  /** By node: the process of its engine. */
  const engineIds = new Map<string, number>();

  beforeAll(async () => {
    const nodeOf = (name: string) => {
      const entry = { name: `words-${name}`, engine: 'llama.cpp', model: RANDOM_MODEL, max_model_len: 8_192 };
      const inference = { models: [{ ...entry, required: true }] };
      return { name, roles: 'inference', inference, args: ['--model', 'none'] };
    };
    mesh = await startFleetMesh([{ name: 'front', roles: 'facade' }, nodeOf('a'), nodeOf('b')]);
  }, START_TIMEOUT_MS);
  afterAll(() => mesh?.stop());

  async function bothReady(): Promise<void> {
    await eventually('both engines are ready', async () => {
      const { engines } = await mesh.inference.listEngines({});
      for (const { node, engine } of engines) engineIds.set(node, engine?.processId ?? 0);
      return engines.filter(({ engine }) => engine?.state === EngineState.READY).length === 2;
    });
  }
  beforeEach(bothReady, TEST_TIMEOUT_MS);

  /** Asks, and does `harm` to the node that has the request when the first tokens have come. */
  async function ask({ prompt, sampling }: Asked, harm: (node: string) => void = () => {}): Promise<Answer> {
    const router = createClient(RouterService, createGrpcTransport({ baseUrl: mesh.url }));
    const whole = { temperature: 0, maxTokens: TOKENS, ignoreEndOfTurn: true, ...sampling };
    const request = { model: 'random-model', prompt, sampling: whole };
    const headers = { authorization: `Bearer ${mesh.adminKey}` };
    let text = '';
    let node = '';
    const resumed: string[] = [];
    for await (const { event } of router.generate(request, { headers })) {
      if (event.case === 'started') node = event.value.engine.replace('words-', '');
      if (event.case === 'resumed') resumed.push(`${event.value.attempt} ${event.value.engine}`);
      if (event.case === 'usage') return { text, resumed, usage: event.value };
      if (event.case !== 'delta') continue;
      if (text === '') harm(node);
      text += event.value.text;
    }
    throw new Error('no usage');
  }

  /** On a busy machine an answer may be whole before we see its first tokens; after `undo` it is asked again. */
  async function expectSame(asked: Asked, harm: (node: string) => void, undo?: () => void): Promise<void> {
    const whole = await ask(asked);
    expect(whole.usage).toMatchObject({ completionTokens: TOKENS });
    let harmed = '';
    const once = () =>
      ask(asked, (node) => {
        harmed = node;
        harm(node);
      });
    let answer = await once();
    for (let attempt = 1; attempt < ATTEMPTS && undo && answer.resumed.length === 0; attempt += 1) {
      undo();
      await bothReady();
      answer = await once();
    }
    expect(answer.resumed).toEqual([`2 words-${harmed === 'a' ? 'b' : 'a'}`]);
    expect(answer.text).toBe(whole.text);
    const { promptTokens, completionTokens } = whole.usage ?? {};
    expect(answer.usage).toMatchObject({ promptTokens, completionTokens });
  }

  test.each(CASES)(
    'its engine is killed: %s',
    (_what, asked) => {
      const kill = (node: string) => process.kill(engineIds.get(node) ?? 0, 'SIGKILL');
      // It is started again by itself.
      return expectSame(asked, kill, () => {});
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a node and its engine stand still',
    async () => {
      const still: number[] = [];
      const goOn = () => {
        for (const id of still.splice(0)) process.kill(id, 'SIGCONT');
      };
      const stop = (node: string) => {
        still.push(engineIds.get(node) ?? 0, mesh.processes.get(node)?.child.pid ?? 0);
        for (const id of still) process.kill(id, 'SIGSTOP');
      };
      try {
        await expectSame(CASES[0][1], stop, goOn);
      } finally {
        goOn();
      }
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a node is killed',
    () => expectSame(CASES[0][1], (node) => mesh.processes.get(node)?.child.kill('SIGKILL')),
    TEST_TIMEOUT_MS,
  );
});
