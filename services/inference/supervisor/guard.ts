/**
 * Runs a program so that nothing of it outlives us, however we end.
 *
 * The shell forks a guard and then becomes the program. The guard holds our pipe on descriptor 3 and waits: when the pipe
 * ends, because we closed it or because we died, it kills its whole process group, the program's children included, and
 * itself with it. While the guard lives the group's number cannot be given to somebody else.
 *
 * - The inner `&` in a subshell of its own makes the guard a child of init: the program never sees a child that it did
 *   not start.
 * - The guard survives the SIGTERM that asks the group to stop, else a later SIGKILL of ours would leave no guard.
 * - It holds neither of the program's output pipes, so that their end means the end of the program's family.
 */
const GUARD_SCRIPT = `
( ( trap '' HUP INT TERM; read -r _ <&3; kill -KILL 0 ) </dev/null >/dev/null 2>&1 & )
exec "$@" 3<&-
`;

/** The shell that runs the guard. */
export const GUARD_SHELL = '/bin/sh';

/** The guard's end of the pipe in the child. */
export const GUARD_DESCRIPTOR = 3;

/** The shell's arguments that run a program under a guard. */
export function guardArguments(program: string, args: readonly string[]): string[] {
  return ['-c', GUARD_SCRIPT, 'guard', program, ...args];
}
