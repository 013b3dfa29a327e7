/**
 * What it costs to choose an engine among 1,000, from the request to its being counted in and out: CPU time of the router
 * alone, without quota and without the engine. Then what the line costs while all engines are full, and the floor: two draws
 * from a list.
 * Usage: npm run bench:choice [-- --engines 1000 --repetitions 5]
 * Exit codes: 0 every goal reached, 1 a goal was missed.
 */
import { parseArgs } from 'node:util';
import { create } from '@bufbuild/protobuf';
import { type GenerateRequest, GenerateRequestSchema } from '../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineSchema, EngineState } from '../gen/mesh/inference/v1/engine_pb.ts';
import { RegisterRequestSchema } from '../gen/mesh/router/v1/registry_service_pb.ts';
import { Registry } from '../services/router/fleet/registry.ts';
import { queueConfigSchema } from '../services/router/queue/config.ts';
import { type Place, Places } from '../services/router/queue/places.ts';
import { Chooser } from '../services/router/select/chooser.ts';
import { EngineLoads } from '../services/router/select/engine-loads.ts';
import { featuresOf } from '../services/router/select/features.ts';
import { describeMachine } from './harness/machine.ts';
import { summarize } from './harness/statistics.ts';

const GOAL_US = 20;

/** What is told without a goal: the floor. */
const WITHOUT_GOAL: ReadonlySet<string> = new Set(['two draws from a list']);

const CHOICES = 20_000;
const ENGINES_PER_NODE = 10;

const { values: options } = parseArgs({
  options: { engines: { type: 'string', default: '1000' }, repetitions: { type: 'string', default: '5' } },
});
const engineCount = Number(options.engines);

/** A router that knows the engines of one model, ten per node, each with room for `maxConcurrency` requests. */
function router(maxConcurrency: number) {
  const loads = new EngineLoads();
  const registry = new Registry({ aliases: {} }, loads);
  for (let node = 0; node * ENGINES_PER_NODE < engineCount; node += 1) {
    const engines = Array.from({ length: ENGINES_PER_NODE }, (_, i) =>
      create(EngineSchema, { name: `engine-${i}`, modelId: 'org/model', state: EngineState.READY, maxConcurrency }),
    );
    const report = create(RegisterRequestSchema, { node: `node-${node}`, epoch: 1n, address: 'http://x', engines });
    registry.report(report, { epochMs: 0, monotonicMs: 0 });
  }
  const route = registry.snapshot.route('org/model');
  if (!route) throw new Error('the model is not there');
  return { loads, registry, route, chooser: new Chooser({ loads, affinityBound: 2 }) };
}

/** Conversation `i`, of six messages of 400 characters; the first two are those of all with the same `start`. */
function conversation(i: number, start: number, session = ''): GenerateRequest {
  const messages = Array.from({ length: 6 }, (_, turn) => ({
    role: turn % 2 === 0 ? Role.USER : Role.ASSISTANT,
    parts: [
      { part: { case: 'text' as const, value: `${turn < 2 ? start : i} ${'some words of a talk '.repeat(20)}` } },
    ],
  }));
  return create(GenerateRequestSchema, {
    model: 'org/model',
    prompt: { input: { case: 'chat', value: { messages } } },
    sampling: { maxTokens: 500 },
    session,
  });
}

type Subject = ReturnType<typeof router>;

const CASES: readonly { name: string; subject: () => Subject; request: (i: number) => GenerateRequest }[] = [
  { name: 'the less loaded of two', subject: () => router(0), request: (i) => conversation(i, i) },
  { name: 'the same start of a conversation', subject: () => router(0), request: (i) => conversation(i, i % 50) },
  { name: 'a session', subject: () => router(0), request: (i) => conversation(i, i, `session ${i}`) },
  { name: 'one of all has room', subject: () => full(1), request: (i) => conversation(i, i) },
];

/** All engines are full but for the first `free`. */
function full(free: number): Subject {
  const subject = router(1);
  for (const { id } of subject.route.candidates.slice(free)) subject.loads.acquire(id, 500);
  return subject;
}

/** CPU microseconds per choice. */
function cost({ route, chooser }: Subject, requests: readonly GenerateRequest[]): number {
  const before = process.cpuUsage();
  for (const request of requests) {
    const features = featuresOf(request);
    const choice = chooser.choose(route, features);
    if (!choice) throw new Error('nothing was chosen');
    chooser.take(choice.candidate, route.id, features)();
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / requests.length;
}

/** How many stand in line. */
const IN_LINE = 100;
const TURNS = 2_000;

/** What a test of the line asks with, all of one organisation. */
function lineOf({ registry, chooser }: Subject): (signal: AbortSignal) => Promise<Place | undefined> {
  const places = new Places({ registry, chooser, queue: queueConfigSchema.parse({ max_waiting: TURNS }) });
  const request = conversation(1, 1);
  const features = featuresOf(request);
  const wanting = {
    ...{ principal: { organizationId: 'o', tier: '' }, features, modelId: 'org/model', request },
    route: () => registry.snapshot.route('org/model'),
    excluded: () => false,
  };
  return (signal) => places.take({ ...wanting, signal }).catch(() => undefined);
}

/** CPU microseconds to join the line of a model whose engines are all full, and to leave it. */
async function joinCost(subject: Subject): Promise<number> {
  const take = lineOf(subject);
  const staying = new AbortController();
  const waiting = Array.from({ length: IN_LINE }, () => take(staying.signal));
  const before = process.cpuUsage();
  for (let i = 0; i < TURNS; i += 1) {
    const leaving = new AbortController();
    const left = take(leaving.signal);
    leaving.abort();
    await left;
  }
  const { user, system } = process.cpuUsage(before);
  staying.abort();
  await Promise.all(waiting);
  return (user + system) / TURNS;
}

/** CPU microseconds per place that becomes free and goes to the next in line; so many stand in it all the time. */
async function handOverCost(subject: Subject): Promise<number> {
  const take = lineOf(subject);
  const staying = new AbortController();
  const { signal } = staying;
  const first = await take(signal);
  const line = Array.from({ length: IN_LINE }, () => take(signal));
  let free = first?.leave;
  const before = process.cpuUsage();
  for (let i = 0; i < TURNS; i += 1) {
    free?.();
    free = (await line.shift())?.leave;
    line.push(take(signal));
  }
  const { user, system } = process.cpuUsage(before);
  staying.abort();
  await Promise.all(line);
  return (user + system) / TURNS;
}

function floor({ route: { ready } }: Subject): number {
  let sum = 0;
  const before = process.cpuUsage();
  for (let i = 0; i < CHOICES; i += 1) {
    for (let draw = 0; draw < 2; draw += 1) sum += ready[Math.floor(Math.random() * ready.length)]?.weight ?? 0;
  }
  const { user, system } = process.cpuUsage(before);
  if (sum === 0) throw new Error('nothing was drawn');
  return (user + system) / CHOICES;
}

const figures = new Map<string, number[]>();
const note = (name: string, value: number): void => void figures.set(name, [...(figures.get(name) ?? []), value]);
for (let repetition = 0; repetition <= Number(options.repetitions); repetition += 1) {
  for (const { name, subject, request } of CASES) {
    const made = subject();
    const requests = Array.from({ length: CHOICES }, (_, i) => request(i));
    const value = cost(made, requests);
    // The first round is the warm-up.
    if (repetition > 0) note(name, value);
  }
  const values = {
    'joining a line and leaving it': await joinCost(full(0)),
    'a place goes to the next in line': await handOverCost(full(1)),
    'two draws from a list': floor(router(0)),
  };
  for (const [name, value] of Object.entries(values)) if (repetition > 0) note(name, value);
}

const { cpu, node, commit, loadBefore } = describeMachine();
console.log(`${cpu}, Node ${node}, commit ${commit}, load ${loadBefore}; ${engineCount} engines of one model\n`);
console.log('| choice | CPU µs | goal |\n| --- | --: | --: |');
let isMissed = false;
for (const [name, values] of figures) {
  const { median, min, max } = summarize(values);
  const hasGoal = !WITHOUT_GOAL.has(name);
  isMissed ||= hasGoal && median > GOAL_US;
  const goal = hasGoal ? `≤ ${GOAL_US}` : '–';
  console.log(`| ${name} | ${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)}) | ${goal} |`);
}
process.exitCode = isMissed ? 1 : 0;
