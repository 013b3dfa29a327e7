import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { withEnvironmentFile } from './shared/lifecycle/environment-file.ts';

/** Flags as parseArgs gives them. */
export type ParsedFlags = { [K in Exclude<keyof typeof FLAGS, 'check-config' | 'import'>]?: string } & {
  'check-config'?: boolean;
  import?: string[];
};

const FLAGS = {
  host: { type: 'string' },
  port: { type: 'string' },
  config: { type: 'string' },
  'data-dir': { type: 'string' },
  roles: { type: 'string' },
  model: { type: 'string' },
  'log-level': { type: 'string' },
  'log-dir': { type: 'string' },
  'check-config': { type: 'boolean' },
  import: { type: 'string', multiple: true },
} as const;

/**
 * Reads the command line.
 *
 * @throws ConfigError that names the flag.
 */
export function parseFlags(argv: readonly string[]): ParsedFlags {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, strict: true, allowPositionals: false }).values as never;
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * The variables of a start: the environment, and below it those of `.env` in the working directory, unless a flag names that
 * file for something else.
 *
 * @throws ConfigError with the line of the file, or the flag, that is wrong.
 */
export function loadEnvironment(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  workingDirectory: string,
): NodeJS.ProcessEnv {
  const path = resolve(workingDirectory, '.env');
  const { import: imports = [], config = '' } = parseFlags(argv);
  const isNamed = [...imports, config].some((file) => resolve(workingDirectory, file) === path);
  return isNamed ? env : withEnvironmentFile(path, env);
}
