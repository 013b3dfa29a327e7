import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import { closeStore } from '../shared/store/store.ts';
import { createKey } from './api-key.ts';
import { clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { createAuthContext } from './context.ts';
import { createFailedCredentials, type FailedCredentials } from './failed-credentials.ts';

describe('failed credentials', () => {
  let failed: FailedCredentials;
  let nowMs: number;
  let lookups: number;

  beforeEach(() => {
    nowMs = 0;
    lookups = 0;
    failed = createFailedCredentials(() => nowMs);
  });

  /** A lookup that takes a turn; credentials that begin with "good" are good. */
  function lookUp(hash: string, address = '192.0.2.1'): Promise<string | undefined> {
    return failed.lookUp(address, hash, async () => {
      lookups += 1;
      await new Promise(setImmediate);
      return hash.startsWith('good') ? hash : undefined;
    });
  }

  async function flood(count: number, address?: string): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, i) => lookUp(`bad-${i}`, address)));
  }

  test('an address has 20, also of as many at once, and gets one back every three seconds', async () => {
    await flood(10_000);
    expect(lookups).toBe(20);
    nowMs += 2_999;
    await flood(10);
    expect(lookups).toBe(20);
    nowMs += 1;
    await flood(10);
    expect(lookups).toBe(21);
  });

  test('another address is not concerned; one network of IPv6 counts as one', async () => {
    await flood(30);
    await flood(30, '192.0.2.2');
    expect(lookups).toBe(40);
    await flood(15, '2001:db8::1');
    await flood(15, '2001:db8::2');
    expect(lookups).toBe(60);
  });

  test('a good credential costs nothing, also when many are new at once', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => lookUp(`good-${i}`)));
    expect(answers.every((answer) => answer !== undefined)).toBe(true);
    await flood(30);
    expect(lookups).toBe(120);
  });

  test('one that was good before is looked up whatever its address does; one that never was waits', async () => {
    await lookUp('good-1');
    await flood(30);
    expect(await lookUp('good-1')).toBe('good-1');
    expect(await lookUp('good-2')).toBeUndefined();
    nowMs += 3_000;
    expect(await lookUp('good-2')).toBe('good-2');
  });

  test('one that is good no more counts as any other', async () => {
    let isGood = true;
    let asked = 0;
    const ask = () =>
      failed.lookUp('192.0.2.1', 'turned', async () => {
        asked += 1;
        return isGood ? 'yes' : undefined;
      });
    await ask();
    await flood(30);
    isGood = false;
    await ask();
    await ask();
    expect(asked).toBe(2);
  });

  test('a lookup that was not answered is no failure', async () => {
    for (let i = 0; i < 30; i += 1) {
      const away = failed.lookUp('192.0.2.1', `h${i}`, () => Promise.reject(new Error('away')));
      await expect(away).rejects.toThrow('away');
    }
    await flood(30);
    expect(lookups).toBe(20);
  });
});

describeStores('a flood of wrong keys', (stores) => {
  test('does not reach the store, is answered as before, and a good key from its address works', async () => {
    const store = await stores.openEmpty();
    const resources = { store, pepper: Buffer.alloc(32, 1), now: () => 0, log: pino({ level: 'silent' }) };
    const context = createAuthContext(authConfigSchema.parse({}), resources);
    const client: Client<typeof AuthService> = clientAs(context, PEER_PRINCIPAL);
    const { secret } = await client.createApiKey({});
    const from = (clientIp: string, credential: string) => reasonOf(client.authenticate({ credential, clientIp }));
    expect(await from('192.0.2.1', secret)).toBe('OK');
    for (let i = 0; i < 20; i += 1) expect(await from('192.0.2.1', createKey().secret)).toBe('CREDENTIAL_INVALID');
    expect(await from('192.0.2.1', secret)).toBe('OK');
    // From here on whoever asks the store is told that it is away.
    await closeStore(store);
    for (let i = 0; i < 100; i += 1) expect(await from('192.0.2.1', createKey().secret)).toBe('CREDENTIAL_INVALID');
    expect(await from('192.0.2.1', secret)).toBe('STORE_UNAVAILABLE');
    expect(await from('192.0.2.2', createKey().secret)).toBe('STORE_UNAVAILABLE');
  });
});
