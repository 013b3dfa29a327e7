import { createClient, createRouterTransport } from '@connectrpc/connect';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import type { RouterChanges, RouterSource } from '../shared/transport/router-sources.ts';
import { Announcement } from './announcement.ts';

/** Generous: the machine may do other work. */
const PATIENT = { timeout: 60_000 };

const NAME = 'http://10.0.0.1:7003';

/** One place where routers are found. */
function place(): { source: RouterSource; come: (close: () => void) => void; go: () => void } {
  let changes: RouterChanges | undefined;
  // It does not listen, so that it is left at once when it is found no more.
  const never = createRouterTransport(() => {});
  return {
    source: (told) => {
      changes = told;
      return () => {};
    },
    come: (close) =>
      changes?.come({ name: NAME, registry: createClient(RegistryService, never), address: 'http://node:7004', close }),
    go: () => changes?.go(NAME),
  };
}

test('a router that two names lead to is told once, until neither leads to it', async () => {
  const [one, other] = [place(), place()];
  let open = 0;
  const routers = [one.source, other.source];
  const announcement = new Announcement({
    ...{ node: 'n', epoch: 1n, routers, engines: () => [], isStopping: () => false, log: pino({ level: 'silent' }) },
  });
  onTestFinished(() => announcement.close());
  announcement.start();
  const come = (where: typeof one): void => {
    open += 1;
    where.come(() => {
      open -= 1;
    });
  };
  come(one);
  come(other);
  expect(open).toBe(1);
  one.go();
  come(one);
  // The second way to the same router was closed; it was never left.
  expect(open).toBe(1);
  one.go();
  await new Promise(setImmediate);
  expect(open).toBe(1);
  other.go();
  await expect.poll(() => open, PATIENT).toBe(0);
});
