import { beforeEach, expect, test } from 'vitest';
import { eventually } from '../../test/harness/processes.ts';
import { describeStores } from '../../test/harness/stores.ts';
import type { Store } from '../shared/store/store.ts';
import { createLocalRevocations, type Revocation, type Revocations } from './revocations.ts';
import { createRedisRevocations } from './store/redis-revocations.ts';

const KEY: Revocation = { kind: 'key', id: 'k1', cutRunningStreams: true };
const USER: Revocation = { kind: 'user', id: 'ann', cutRunningStreams: false };

function revocationsOf(store: Store): Revocations {
  return store.kind === 'sqlite' ? createLocalRevocations() : createRedisRevocations(store);
}

describeStores('revocations', (stores) => {
  let revocations: Revocations;
  let heard: (Revocation | 'broken')[];
  const watch = (from: Revocations = revocations) =>
    from.watch(
      (revocation) => heard.push(revocation),
      () => heard.push('broken'),
    );

  beforeEach(async () => {
    heard = [];
    revocations = revocationsOf(await stores.openEmpty());
    return () => revocations.close();
  });

  test('whoever watches hears of each, in order, until it leaves', async () => {
    await revocations.ready();
    const leave = watch();
    await revocations.publish(KEY);
    await revocations.publish(USER);
    await eventually('both were heard', () => heard.length === 2);
    leave();
    await revocations.publish(KEY);
    await revocations.ready();
    expect(heard).toEqual([KEY, USER]);
  });

  test('closing breaks every watch, once', async () => {
    await revocations.ready();
    watch();
    revocations.close();
    revocations.close();
    expect(heard).toEqual(['broken']);
  });

  if (stores.kind === 'sqlite') return;

  test('other processes with the store hear of it', async () => {
    const other = revocationsOf(await stores.open());
    await other.ready();
    watch(other);
    await revocations.publish(KEY);
    await eventually('it was heard', () => heard.length === 1);
    expect(heard).toEqual([KEY]);
    other.close();
  });

  test('before there is a connection nothing is promised', () => {
    watch();
    expect(heard).toEqual(['broken']);
  });

  test('a watch whose connection was lost is told so, and another can begin soon', async () => {
    const store = await stores.open();
    const own = revocationsOf(store);
    await own.ready();
    watch(own);
    if (store.kind === 'redis') await store.redis.client('KILL', 'TYPE', 'PUBSUB');
    await eventually('the watch is broken', () => heard.length === 1);
    await own.ready();
    watch(own);
    await own.publish(USER);
    await eventually('it goes on', () => heard.length === 2);
    expect(heard).toEqual(['broken', USER]);
    own.close();
  });

  test('what cannot be read breaks the watch', async () => {
    const store = await stores.open();
    await revocations.ready();
    watch();
    if (store.kind === 'redis') await store.redis.publish('mesh:auth:{auth}:revocations:0', '{"kind":"planet"}');
    await eventually('the watch is broken', () => heard.length === 1);
    expect(heard).toEqual(['broken']);
  });

  // The last one: it stops the server.
  test('a server that hangs is a broken one', async () => {
    await revocations.ready();
    watch();
    stores.server().child.kill('SIGSTOP');
    await eventually('the watch is broken', () => heard.length === 1);
    expect(heard).toEqual(['broken']);
    await expect(revocations.ready()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    stores.server().child.kill('SIGCONT');
    await eventually('it is back', () => revocations.ready().then(() => true));
  });
});
