import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { stringify } from 'yaml';
import { requireImportable } from './auth/account-import.ts';
import { createAuthContext } from './auth/context.ts';
import { requireOwnPasswords } from './auth/default-passwords.ts';
import { type Config, checkSections } from './config.ts';
import { type ForeignConfig, joinSections, readForeignConfig } from './foreign-config.ts';
import { readPeppers } from './peppers.ts';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { closeStore, openStore } from './shared/store/store.ts';
import { isLoopbackHost } from './shared/transport/loopback.ts';

/** Where the settings go. */
const TARGET = 'mesh.yaml';

/**
 * Takes configurations of other systems over: keys and users into the store, the rest into a new `mesh.yaml`. Nothing is
 * changed unless all of it can be. Resolves to what to tell, without a secret.
 *
 * @throws ConfigError, MeshError STORE_UNAVAILABLE.
 */
export async function importForeign(
  config: Config,
  files: readonly string[],
  { workingDirectory, log }: { readonly workingDirectory: string; readonly log: Logger },
): Promise<string> {
  const all = files.map((file) => readForeignConfig(file, textOf(resolve(workingDirectory, file), file)));
  const sections = all.reduce((joined: ForeignConfig['sections'], one) => joinSections(joined, one.sections), {});
  const text = Object.keys(sections).length === 0 ? undefined : stringify(sections);
  const target = resolve(workingDirectory, TARGET);
  if (text !== undefined && existsSync(target)) {
    throw new ConfigError(`${target}: exists and is not overwritten; move it away, import, and join the two`);
  }
  const { host, tiers } = checkSections(text ?? '', config);
  const accounts = { keys: all.flatMap(({ keys }) => keys), users: all.flatMap(({ users }) => users) };
  const isLocal = isLoopbackHost(host) && isLoopbackHost(config.server.host);
  const areWeakAllowed = isLocal || config.auth.allow_weak_keys;
  requireImportable(accounts, tiers, areWeakAllowed);
  if (!areWeakAllowed) await requireOwnPasswords(accounts.users);

  const { data_dir: dataDir } = config.server;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const peppers = readPeppers(config);
  const store = await openStore({ redisUrl: config.redisUrl, sqlitePath: join(dataDir, 'mesh.db'), log });
  const context = createAuthContext(config.auth, { store, ...peppers, now: Date.now, log, tiers });
  try {
    const counts = await context.importAccounts(accounts);
    // Fails when somebody else has made one meanwhile.
    if (text !== undefined) writeFileSync(target, text, { flag: 'wx', mode: 0o600 });
    const lines = [
      `imported ${counts.keys} keys and ${counts.users} users`,
      ...(counts.knownKeys + counts.knownUsers > 0
        ? [`  there before, and left as they were: ${counts.knownKeys} keys, ${counts.knownUsers} users`]
        : []),
      ...(counts.weakKeys > 0 ? [`  warning: ${counts.weakKeys} keys can be guessed (less than 128 bits)`] : []),
      ...(text === undefined ? [] : [`  settings  ${target}`]),
      ...all.flatMap(({ notes }) => notes.map((note) => `  ${note}`)),
    ];
    return `${lines.join('\n')}\n`;
  } finally {
    await context.close();
    await closeStore(store);
  }
}

function textOf(path: string, file: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
}
