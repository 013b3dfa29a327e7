import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type HashOutput, hashOfKey, hashOfPassword } from '../../../services/auth/hash-commands.ts';
import { ConfigError } from '../../../services/shared/lifecycle/config-source.ts';
import { requireNode } from '../../../services/shared/lifecycle/node-version.ts';
import { readSecret } from '../../../services/shared/lifecycle/secret-file.ts';
import { CliError, EXIT } from '../exit-code.ts';
import { type LocalOptions, localConfig } from '../local-config.ts';
import { readSecretLine } from '../secret-input.ts';
import type { Session } from '../session.ts';

/** `keys hash`: a key in, what `auth.api_keys` of the configuration file takes of it out. */
export async function hashKeyCommand(session: Session, extra: readonly string[], options: LocalOptions): Promise<void> {
  await hash(session, extra, async () => {
    const pepper = Buffer.from(pepperOf(session, options));
    return hashOfKey(await readSecretLine(session, 'API key: '), pepper);
  });
}

/** `users hash`: a password in, what `auth.users` of the configuration file takes of it out. */
export async function hashPasswordCommand(session: Session, extra: readonly string[]): Promise<void> {
  await hash(session, extra, async () => await hashOfPassword(await readSecretLine(session, 'Password: ')));
}

async function hash(session: Session, extra: readonly string[], work: () => Promise<HashOutput>): Promise<void> {
  try {
    requireNode(session.host.nodeVersion);
    refuseSecrets(extra);
    const { hash: text, warning } = await work();
    if (warning) session.err.line(`inference-mesh: ${warning}`);
    if (session.isJson) session.json({ hash: text });
    else session.out.line(text);
  } catch (error) {
    throw error instanceof ConfigError ? new CliError(error.message, EXIT.configuration) : error;
  }
}

/** What was typed is not repeated: it may be the secret. */
function refuseSecrets(extra: readonly string[]): void {
  if (extra.length === 0) return;
  if (extra.some((word) => word.startsWith('-'))) throw new ConfigError('unknown option; see --help');
  throw new ConfigError(
    'a secret does not belong on the command line, where others see it: change it, and type it here',
  );
}

/** The same that a mesh started here would use; made if there is none yet. */
function pepperOf(session: Session, options: LocalOptions): string {
  const { pepperFile, server } = localConfig(session, options);
  if (pepperFile !== undefined) return readSecret(pepperFile, { create: false });
  mkdirSync(server.data_dir, { recursive: true, mode: 0o700 });
  return readSecret(join(server.data_dir, 'pepper'), { create: true });
}
