import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ServerConfig } from './server-config.ts';
import type { HealthState } from './shared/grpc/health.ts';
import type { Closer } from './shared/lifecycle/closer.ts';
import { closeStore, openStore, pingStore, type Store } from './shared/store/store.ts';
import { SERVICES_OF_ROLE } from './shared/transport/listened-routes.ts';
import { KEEPERS, type Role } from './shared/transport/roles.ts';

/** Where the store of a process is, and for whom. */
export interface StoreSettings {
  readonly server: Pick<ServerConfig, 'data_dir' | 'store_timeout_ms'>;
  /** Unset: SQLite in the data directory. */
  readonly redisUrl: string | undefined;
  readonly roles: ReadonlySet<Role>;
}

/** How often the store is asked whether it answers, in milliseconds. */
const STORE_CHECK_MS = 1_000;

/**
 * Opens the store of a process and lets its health say whether it answers.
 *
 * @throws as openStore
 */
export async function openWatchedStore(
  { server, redisUrl, roles }: StoreSettings,
  { closer, health, log }: { readonly closer: Closer; readonly health: HealthState; readonly log: Logger },
): Promise<Store> {
  const sqlitePath = join(server.data_dir, 'mesh.db');
  const commandTimeoutMs = server.store_timeout_ms;
  const store = await openStore({ redisUrl, sqlitePath, commandTimeoutMs, log });
  closer.add('store', () => closeStore(store));
  const check = async (): Promise<void> => {
    const answers = await pingStore(store);
    for (const role of KEEPERS) {
      if (roles.has(role)) for (const service of SERVICES_OF_ROLE[role]) health.set(service.typeName, answers);
    }
  };
  await check();
  const timer = setInterval(() => void check(), STORE_CHECK_MS).unref();
  closer.add('store check', () => clearInterval(timer));
  return store;
}
