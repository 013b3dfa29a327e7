import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newPayer, settled } from '../faults/caller.ts';
import { eventually } from '../harness/processes.ts';
import { hasRedis } from '../harness/redis.ts';
import { type Kind, type LoadClient, startLoad } from './load.ts';
import { type ReplicatedMesh, startReplicatedMesh } from './replicated-mesh.ts';

/** Clients, each with the tokens of its answers: the longest take longer than a node waits for them. */
const CLIENTS: readonly (readonly [Kind, number])[] = [
  ...[['stream', 20] as const, ['stream', 40] as const, ['stream', 250] as const, ['stream', 300] as const],
  ...[['unary', 10] as const, ['unary', 120] as const, ['task', 10] as const, ['task', 150] as const],
];

/** How many answers a client has between two restarts, where none of its answers takes long. */
const ANSWERS_BETWEEN = 3;

const warningsOf = (output: string): string =>
  output
    .split('\n')
    .filter((line) => !/"level":"?(info|30)/.test(line))
    .join('\n')
    .slice(-4_000);

describe.skipIf(!hasRedis())('a mesh whose processes are restarted one by one', () => {
  let mesh: ReplicatedMesh;
  let load: readonly LoadClient[];

  beforeAll(async () => {
    mesh = await startReplicatedMesh();
  });
  afterAll(() => mesh?.stop());
  afterEach(({ task: { result } }) => {
    if (result?.state === 'fail') for (const { name, output } of mesh.members) console.log(name, warningsOf(output));
  });

  const report = (): string[] =>
    load.flatMap(({ kind, tokens, problems }) => problems.map((one) => `${kind} ${tokens}: ${one}`));

  test('loses and doubles no token, no answer and no task, and charges each once', async () => {
    load = await Promise.all(
      CLIENTS.map(async ([kind, tokens]) => startLoad(mesh.url, kind, await newPayer(mesh, 'unlimited'), tokens)),
    );
    for (const member of mesh.members.toReversed()) {
      await everyoneIsServed();
      await mesh.restart(member);
    }
    await everyoneIsServed();
    await Promise.all(load.map((client) => client.end()));

    console.log('refusals by a busy mesh:', load.map(({ refusals }) => refusals()).join());
    expect(report()).toEqual([]);
    // Else nothing outlasted its node.
    expect(load.reduce((sum, { moves }) => sum + moves(), 0)).toBeGreaterThan(0);
    for (const { kind, payer, tokens, count } of load) {
      const { requests, completionTokens } = await settled(mesh, payer);
      expect({ kind, requests, completionTokens }).toEqual({
        kind,
        requests: count(),
        completionTokens: count() * tokens,
      });
    }
  });

  async function everyoneIsServed(): Promise<void> {
    const quick = load.filter(({ tokens }) => tokens <= 20);
    const before = quick.map(({ count, problems }) => count() + problems.length);
    await eventually('every client gets answers', () =>
      quick.every(({ count, problems }, i) => count() + problems.length >= (before[i] ?? 0) + ANSWERS_BETWEEN),
    );
  }
});
