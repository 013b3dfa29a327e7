import { type Logger, pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';

const STRONG = 'sk-1a2b3c4d5e6f7g8h9i0jklmnopq';

describeStores('keys that can be guessed', (stores) => {
  let store: Store;
  let nowMs: number;
  let lines: string[];
  let log: Logger;
  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
    lines = [];
    log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  });

  function start(allowWeakKeys: boolean): AuthContext {
    const config = authConfigSchema.parse({ allow_weak_keys: allowWeakKeys });
    const parts = { store, pepper: Buffer.alloc(32, 1), now: () => nowMs, log };
    return createAuthContext(config, { ...parts, environmentKeys: ['dev-key', STRONG] });
  }

  async function outcomes(context: AuthContext, boundToLoopback?: boolean): Promise<Record<string, string>> {
    const peer = clientAs(context, PEER_PRINCIPAL);
    const entries = ['dev-key', 'demo', STRONG, 'not-there'].map(async (credential) => [
      credential,
      await reasonOf(peer.authenticate({ credential, ...(boundToLoopback ? { boundToLoopback } : {}) })),
    ]);
    return Object.fromEntries(await Promise.all(entries));
  }

  test('count only where the process that asks is bound to loopback, or where they are allowed', async () => {
    const strict = start(false);
    await strict.keyImport.add({ key: 'demo', userId: 'ann', tier: 'standard' });
    const unknown = { 'not-there': 'CREDENTIAL_INVALID', [STRONG]: 'OK' };
    const refused = { 'dev-key': 'CREDENTIAL_INVALID', demo: 'CREDENTIAL_INVALID' };
    const accepted = { 'dev-key': 'OK', demo: 'OK' };
    expect(await outcomes(strict)).toEqual({ ...unknown, ...refused });
    expect(await outcomes(strict, true)).toEqual({ ...unknown, ...accepted });
    expect(await outcomes(start(true))).toEqual({ ...unknown, ...accepted });
  });

  test('a refusal is told to the operator once a minute, without the key', async () => {
    const context = start(false);
    lines.length = 0;
    for (let call = 0; call < 3; call += 1) await outcomes(context);
    nowMs += 60_000;
    await outcomes(context);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/can be guessed was refused.*MESH_ALLOW_WEAK_KEYS=1/);
    expect(lines.join('')).not.toMatch(/dev-key|demo/);
  });
});
