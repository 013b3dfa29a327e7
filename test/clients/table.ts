import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { BEHAVIOURS, type BehaviourName } from './behaviours.ts';
import type { ClientKind } from './clients.ts';
import { type ClientsMesh, startClientsMesh } from './clients-mesh.ts';
import type { RpcClient } from './rpc-client.ts';

/** The names of all that clients do, in order. */
export const BEHAVIOUR_NAMES = Object.keys(BEHAVIOURS) as BehaviourName[];

/** Makes a test of each client and behaviour, and prints what came of them as a table. */
export function describeClients(kinds: readonly ClientKind[]): void {
  if (kinds.length === 0) {
    // What is missing has been told.
    test.skip('none of these clients can run here', () => {});
    return;
  }
  let setting: ClientsMesh;
  const results = new Map<string, string>();
  beforeAll(async () => {
    setting = await startClientsMesh();
  });
  afterAll(async () => {
    await setting?.stop();
    console.log(tableOf(kinds, results));
  });

  describe.each(kinds)('$name', (kind) => {
    let client: RpcClient;
    let folder: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'mesh-client-'));
      client = await kind.start(folder);
      await client.call({ do: 'connect', address: setting.address });
    });
    afterAll(async () => {
      await client?.close();
      // The Go tools write-protect what they keep.
      rmSync(folder, { recursive: true, force: true });
    });

    test.each(BEHAVIOUR_NAMES)('%s', async (name) => {
      const cell = `${kind.name} ${name}`;
      results.set(cell, 'FAILED');
      const { keepaliveMs } = kind;
      const measured = await BEHAVIOURS[name](
        setting,
        client,
        keepaliveMs === undefined ? {} : { everyMs: keepaliveMs },
      );
      results.set(cell, measured ? `yes, ${measured}` : 'yes');
    });
  });
}

/** A row for each client, a column for each behaviour. */
function tableOf(kinds: readonly ClientKind[], results: ReadonlyMap<string, string>): string {
  const rows = kinds.map(({ name }) => [name, ...BEHAVIOUR_NAMES.map((each) => results.get(`${name} ${each}`) ?? '–')]);
  return [['', ...BEHAVIOUR_NAMES], ['---', ...BEHAVIOUR_NAMES.map(() => '---')], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}
