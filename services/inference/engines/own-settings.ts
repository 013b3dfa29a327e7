import type { z } from 'zod';
import { covers, flagMeant, type Spelling } from './command-line.ts';

/** What an entry must not tell its engine: the mesh does, has booked devices by it, or it is not for everybody's eyes. */
export interface OwnSetting {
  /** Flags as the engine documents them, and variables that say the same; "--ssl-*" is each that begins so. */
  readonly names: readonly string[];
  /** What is wrong and what to do instead; follows the name in a message. */
  readonly problem: string;
}

/** What the mesh says itself: a second one would win, and the engine would be looked for in vain. */
export function setByMesh(...names: string[]): OwnSetting {
  return { names, problem: 'is set by the mesh; remove it' };
}

/** What the mesh says or books by a field of the entry. */
export function useField(field: string, ...names: string[]): OwnSetting {
  return { names, problem: `is set by the mesh; use ${field}` };
}

/** What would make a booking wrong and has no field. `why` says what to do instead. */
export function notSupported(why: string, ...names: string[]): OwnSetting {
  return { names, problem: `is not supported: ${why}` };
}

/** Flags for what belongs into a variable: arguments are in every process list. */
export function secretFlag(variable: string, ...flags: string[]): OwnSetting {
  return {
    names: flags,
    problem: `carries a secret, and every user of this host can read arguments; use env: ${variable}`,
  };
}

/** Those of every engine. */
const COMMON: readonly OwnSetting[] = [
  useField('devices', 'CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER', 'NVIDIA_VISIBLE_DEVICES'),
  setByMesh('MESH_ENGINE_MARK'),
];

/** The fields of an entry that reach its engine as they are. */
interface PassedOn {
  readonly env: Readonly<Record<string, string>>;
  readonly extra_args?: readonly string[];
}

/**
 * Refuses such settings in `extra_args` and `env`, by name: what is said beside a name may be a secret.
 *
 * @param spelling of the engine's command line; unset: it takes no arguments
 */
export function refuseOwnSettings(
  settings: readonly OwnSetting[],
  spelling: Spelling = {},
): (entry: PassedOn, context: z.RefinementCtx) => void {
  const problems = new Map(
    [...COMMON, ...settings].flatMap(({ names, problem }) => names.map((one) => [one, problem])),
  );
  const flags = [...problems.keys()].filter((name) => name.startsWith('-'));
  const variables = [...problems.keys()].filter((name) => !name.startsWith('-'));
  return ({ env, extra_args: args = [] }, context) => {
    for (const [index, argument] of args.entries()) {
      const flag = flagMeant(argument, flags, spelling);
      if (flag === undefined) continue;
      const message = `${flag} ${problems.get(flag)}`;
      context.addIssue({ code: 'custom', path: ['extra_args', index], message });
    }
    for (const name of Object.keys(env)) {
      const variable = variables.find((one) => covers(one, name));
      if (variable === undefined) continue;
      const message = `${name} ${problems.get(variable)}`;
      context.addIssue({ code: 'custom', path: ['env', name], message });
    }
  };
}
