import { ConnectError } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { FinishReason } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type Engine, EngineState, FailureCause } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { isRunning } from '../engines/processes.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { type Answer, type Asked, Caller, chat, START_TIMEOUT_MS, text } from './caller.ts';
import { descendantsOf, familyOf, metricOf, processorMs, withCommand } from './engine-process.ts';
import { readPlan, traitsOf } from './plan.ts';

/** The promise of a cancellation. */
const IDLE_WITHIN_MS = 1_000;

/** Characters of 3, 4 and 2 bytes, none of which the models have as one token. */
const WIDE = '漢🚀é';

vi.setConfig({ testTimeout: 2 * START_TIMEOUT_MS, hookTimeout: START_TIMEOUT_MS });

const plan = readPlan();

// The tests of one engine build on each other: each start takes up to minutes.
describe.each(plan.engines)('$kind', (real) => {
  describe.skipIf(real.absent !== undefined)(real.absent ?? `version ${real.version}`, () => {
    const traits = traitsOf(real, plan);
    const kind = real.kind;
    const mistakes = [
      ['nowhere', 'a model that is not there', FailureCause.UNSUPPORTED_MODEL] as const,
      ...(traits.takesArguments
        ? [['mistyped', 'an argument that it does not know', FailureCause.BAD_FLAG] as const]
        : []),
    ];
    let mesh: TestMesh;
    let caller: Caller;
    let engine: Engine;

    beforeAll(async () => {
      const entry = { ...traits.entry, engine: kind, load: 'on_demand' };
      const flags = (traits.entry.extra_args as string[] | undefined) ?? [];
      const models = [
        { ...entry, name: 'chat' },
        { ...entry, name: 'brief', ttl_seconds: 2 },
        { ...entry, name: 'nowhere', model: traits.missingModel },
        ...(traits.embedding ? [{ ...entry, ...traits.embedding, name: 'vectors' }] : []),
        ...(traits.takesArguments ? [{ ...entry, name: 'mistyped', extra_args: [...flags, '--no-such-flag'] }] : []),
      ];
      const router = { timeout_seconds: { total: 1_200, first_token: 900, between_tokens: 120 } };
      const config = { inference: { models }, router };
      mesh = await startMesh('one process', { config, args: ['--model', 'none'] });
      caller = new Caller(mesh);
    });
    afterAll(() => mesh?.stop());

    const greedy = (prompt: Asked['prompt'], maxTokens: number, more: Asked['sampling'] = {}): Asked => ({
      prompt,
      sampling: { maxTokens, temperature: 0, ...more },
    });

    /** A request that runs for seconds. */
    const long: Asked = { prompt: text('hello'), sampling: { temperature: 0, ...traits.long } };

    /** What must be true of every whole answer. */
    function expectWhole(answer: Answer, maxTokens: number, choices = 1): void {
      expect(answer.finished.map(({ choice }) => choice).sort()).toEqual(
        Array.from({ length: choices }, (_, at) => at),
      );
      const made = answer.usage?.completionTokens ?? 0;
      expect(answer.usage?.promptTokens).toBeGreaterThan(0);
      expect(made).toBeGreaterThan(0);
      expect(made).toBeLessThanOrEqual(maxTokens * choices);
      if (answer.finished.every(({ reason }) => reason === FinishReason.LENGTH)) expect(made).toBe(maxTokens * choices);
      for (let choice = 0; choice < choices; choice += 1) expect(answer.text(choice).isWellFormed()).toBe(true);
    }

    test('is loaded with progress, on the device that was asked for', async () => {
      expect((await caller.engine('chat')).state).toBe(EngineState.STOPPED);
      const seen = await caller.load('chat');
      engine = seen.at(-1) ?? expect.fail('no progress');
      expect(engine.state).toBe(EngineState.READY);
      expect(engine.devices).toEqual(plan.devices);
      expect(engine.deviceKind).toBe(plan.devices.length === 0 ? 'cpu' : 'cuda');
      const starting = seen.filter(({ state }) => state === EngineState.STARTING);
      const stages = [...new Set(starting.map(({ stage }) => stage))].filter((stage) => stage !== '');
      console.log(`${kind}: stages: ${stages.join(', ')}; context ${engine.contextTokens}`);
      expect(stages.length).toBeGreaterThan(0);
      expect(isRunning(engine.processId)).toBe(true);
    });

    test.each([
      ['plain text', text('hello world')],
      ['a conversation', chat('hello world')],
    ])('streams an answer to %s', async (_what, prompt) => {
      const answer = await caller.generate('chat', greedy(prompt, 24));
      expectWhole(answer, 24);
      expect(answer.text()).not.toBe('');
    });

    test('tells each token with its number and probability', async ({ skip }) => {
      const { tokenIds, logprobs } = engine.capabilities ?? {};
      skip(!tokenIds && !logprobs, 'it tells neither');
      const more = { ...(tokenIds && { returnTokenIds: true }), ...(logprobs && { logprobs: true, topLogprobs: 2 }) };
      const answer = await caller.generate('chat', greedy(text('hello world'), 12, more));
      expectWhole(answer, 12);
      const made = answer.usage?.completionTokens;
      if (tokenIds) expect(answer.tokenIds).toHaveLength(made ?? 0);
      const told = answer.deltas.flatMap((delta) => delta.logprobs);
      // Some count the token that ends a turn, and tell nothing of it.
      const ended = answer.finished[0]?.reason === FinishReason.STOP;
      if (logprobs) expect([made, ended ? (made ?? 0) - 1 : made]).toContain(told.length);
      for (const { logprob, top } of told) {
        expect(logprob).toBeLessThanOrEqual(0);
        expect(top.length).toBeLessThanOrEqual(2);
      }
    });

    test('bills what the engine counted, also for several choices', async ({ skip }) => {
      const { metrics } = traits;
      if (!metrics) return skip('it has no metrics');
      const choices = engine.capabilities?.choices ? 2 : 1;
      for (const prompt of [text('hello world'), chat('hello world')]) {
        const before = await metricOf(engine.processId, metrics.generated);
        const sampling = { maxTokens: 9, temperature: 1, choices };
        const answer = await caller.generate('chat', { prompt, sampling });
        expectWhole(answer, 9, choices);
        await eventually('the engine has counted the same', async () => {
          const counted = (await metricOf(engine.processId, metrics.generated)) - before;
          if (counted !== answer.usage?.completionTokens)
            throw new Error(`${counted}, ${answer.usage?.completionTokens}`);
          return true;
        });
      }
    });

    test('stops at a text, which is not sent', async () => {
      const whole = (await caller.generate('chat', greedy(text('hello world'), 24))).text();
      const stop = [...whole].find((one, at) => at > 1 && /^[\x21-\x7e]$/.test(one) && whole.indexOf(one) > 0);
      if (stop === undefined) return expect.fail(`nothing to stop at in ${JSON.stringify(whole)}`);
      const cut = await caller.generate('chat', greedy(text('hello world'), 24, { stop: [stop] }));
      expect(cut.finished[0]?.reason).toBe(FinishReason.STOP);
      expect(cut.text()).toBe(whole.slice(0, whole.indexOf(stop)));
    });

    test('repeats a seed', async () => {
      const ask = async (seed: bigint): Promise<string> => {
        const sampling = { maxTokens: 16, temperature: 1, seed };
        return (await caller.generate('chat', { prompt: text('hello world'), sampling })).text();
      };
      const texts = [await ask(7n), await ask(7n), await ask(8n), await ask(9n)];
      expect(texts[1]).toBe(texts[0]);
      expect(new Set(texts).size).toBeGreaterThan(1);
    });

    test('writes by a schema, characters of several tokens whole', async ({ skip }) => {
      skip(!engine.capabilities?.json, 'it cannot be held to a schema');
      const schema = { type: 'string', enum: [WIDE] };
      const format = { case: 'jsonSchema' as const, value: { name: 'word', schema, strict: true } };
      const answer = await caller.generate('chat', { ...greedy(chat('hello'), 60), responseFormat: { format } });
      expect(JSON.parse(answer.text())).toBe(WIDE);
      expect(answer.finished[0]?.reason).toBe(FinishReason.STOP);
    });

    test('tokenizes, and takes the tokens as a prompt', async ({ skip }) => {
      const { tokenize, tokenPrompts } = engine.capabilities ?? {};
      skip(!tokenize, 'it has no route for it');
      for (const prompt of [text(`hello ${WIDE}`), chat('hello')]) {
        const { tokenIds } = await caller.inference.tokenize({ model: 'chat', prompt }, { headers: caller.asPeer });
        const counted = await caller.generate('chat', greedy(prompt, 2));
        expect(tokenIds).toHaveLength(counted.usage?.promptTokens ?? 0);
        if (!tokenPrompts) continue;
        const asTokens = { input: { case: 'tokenIds' as const, value: { ids: tokenIds } } };
        const again = await caller.generate('chat', greedy(asTokens, 2));
        expect(again.usage?.promptTokens).toBe(tokenIds.length);
      }
    });

    test(`is idle within ${IDLE_WITHIN_MS} ms of a cancellation`, async () => {
      const controller = new AbortController();
      const cut = caller.generate('chat', long, () => controller.abort(), controller.signal);
      await expect(cut).rejects.toThrow();
      const { metrics } = traits;
      if (metrics) {
        const idle = async (): Promise<boolean> => (await metricOf(engine.processId, metrics.running)) === 0;
        await eventually('it runs nothing', idle, IDLE_WITHIN_MS);
      } else {
        const family = await familyOf(engine.processId);
        await eventually('it computes nothing', () => computesNothing(family), IDLE_WITHIN_MS);
      }
      expectWhole(await caller.generate('chat', greedy(text('hello'), 4)), 4);
    });

    /** Kills a process while a stream runs on the engine; returns the processes that there were. */
    async function killInStream(pattern: RegExp | undefined): Promise<number[]> {
      const family = await familyOf(engine.processId);
      const [victim] = pattern ? withCommand(family, pattern) : family;
      if (victim === undefined) return expect.fail(`no process is ${pattern}`);
      const kill = (): void => void (isRunning(victim) && process.kill(victim, 'SIGKILL'));
      const cut = caller.generate('chat', long, kill);
      const isCut = expect(cut).rejects.toThrow(ConnectError);
      const { metrics } = traits;
      // By its own word where it has one: on a busy machine all tokens may be made before the first is seen here.
      if (metrics) {
        const runs = async (): Promise<boolean> =>
          !isRunning(victim) || (await metricOf(engine.processId, metrics.running)) > 0;
        await eventually('the engine runs it', runs).finally(kill);
      }
      await isCut;
      return family;
    }

    test('goes on when it replaces a process of its own that is killed', async ({ skip }) => {
      const { replaced } = traits;
      if (!replaced) return skip('it replaces none');
      await killInStream(replaced);
      expectWhole(await caller.generate('chat', greedy(text('hello'), 4)), 4);
      expect(await caller.engine('chat')).toMatchObject({ restarts: 0, processId: engine.processId });
    });

    test('is started again when the process that computes is killed', async () => {
      const family = await killInStream(traits.worker);
      const isBack = async (): Promise<Engine | undefined> => {
        const now = await caller.engine('chat');
        return now.restarts > 0 && now.state === EngineState.READY ? now : undefined;
      };
      engine = await eventually('it was started again', isBack, START_TIMEOUT_MS);
      expect(family.filter(isRunning)).toEqual([]);
      expectWhole(await caller.generate('chat', greedy(text('hello'), 4)), 4);
    });

    test('is unloaded by hand, and nothing of it is left', async () => {
      const family = await familyOf(engine.processId);
      await caller.unload('chat');
      expect(await caller.engine('chat')).toMatchObject({ state: EngineState.STOPPED, unloaded: true });
      expect(family.filter(isRunning)).toEqual([]);
      await expect(caller.generate('chat', greedy(text('hello'), 2))).rejects.toThrow(/MODEL_NOT_LOADED|not loaded/);
    });

    test.each(mistakes)('says what is wrong with %s: %s', async (name, _what, cause) => {
      await expect(caller.load(name)).rejects.toThrow();
      const { failure } = await caller.engine(name);
      console.log(`${kind}: ${name}: ${nameOf(failure?.cause)}: ${failure?.hint}`);
      await caller.unload(name);
      expect(nameOf(failure?.cause)).toBe(nameOf(cause));
      expect(failure?.hint).not.toBe('');
    });

    test('is loaded by the first request, and goes when it was not used', async () => {
      expectWhole(await caller.generate('brief', greedy(text('hello'), 4)), 4);
      const { processId } = await caller.engine('brief');
      const family = await familyOf(processId);
      await eventually('it is gone', async () => (await caller.engine('brief')).state === EngineState.STOPPED, 60_000);
      expect(family.filter(isRunning)).toEqual([]);
    });

    test('makes vectors', async ({ skip }) => {
      skip(!traits.embedding && !engine.capabilities?.embeddings, 'it makes none');
      const model = traits.embedding ? 'vectors' : 'brief';
      if (traits.embedding) await caller.load(model);
      const inputs = [text('hello'), text('world')];
      const { embeddings, promptTokens } = await caller.inference.embed({ model, inputs }, { headers: caller.asPeer });
      expect(embeddings).toHaveLength(2);
      expect(promptTokens).toBeGreaterThan(1);
      for (const { values } of embeddings) {
        expect(values.length).toBeGreaterThan(1);
        expect(values.every(Number.isFinite)).toBe(true);
      }
      if (traits.embedding) await caller.unload(model);
    });

    test('leaves nothing within 5 s after a SIGKILL of the mesh with a stream running', async () => {
      await caller.load('chat');
      const parent = mesh.processes.get('all')?.child;
      const all = descendantsOf(parent?.pid ?? 0);
      expect(all).toContain((await caller.engine('chat')).processId);
      const running = caller.generate('chat', long, () => void parent?.kill('SIGKILL'));
      await expect(running).rejects.toThrow();
      await eventually('all its processes are gone', () => !all.some(isRunning), 5_000);
    });
  });
});

const nameOf = (cause: FailureCause | undefined): string | undefined =>
  Object.entries(FailureCause).find(([, value]) => value === cause)?.[0];

let lastMs: { family: string; atMs: number; usedMs: number } | undefined;

/** Whether processes used less than a tenth of a core since the last call, if that was 100 ms ago or more. */
function computesNothing(family: readonly number[]): boolean {
  const now = { family: family.join(), atMs: performance.now(), usedMs: processorMs(family) };
  if (lastMs?.family !== now.family) {
    lastMs = now;
    return false;
  }
  const passedMs = now.atMs - lastMs.atMs;
  if (passedMs < 200) return false;
  const usedMs = now.usedMs - lastMs.usedMs;
  lastMs = now;
  return usedMs < passedMs / 10;
}
