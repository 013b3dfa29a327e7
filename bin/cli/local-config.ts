import { type Config, loadConfig } from '../../services/config.ts';
import { loadEnvironment } from '../../services/flags.ts';
import type { Session } from './session.ts';

/** Flags that say which mesh of this machine is meant. */
export interface LocalOptions {
  readonly dataDir?: string;
  readonly config?: string;
}

/**
 * The configuration that a mesh started here with the same flags would have.
 *
 * @throws ConfigError.
 */
export function localConfig({ host }: Session, { dataDir, config }: LocalOptions): Config {
  const argv = Object.entries({ 'data-dir': dataDir, config }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  return loadConfig(argv, loadEnvironment(argv, host.env, host.workingDirectory), host.workingDirectory);
}
