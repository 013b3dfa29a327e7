/**
 * Kills whatever carries the mark `$1` once its standard input has ended, and goes when nothing does.
 *
 * - It waits a second: a supervisor that lives looks for survivors itself and wants to say which there were.
 * - Two rounds must find nothing: a process that forks and ends while one round looks can hide its child from it.
 * - It goes at last when what it kills does not end, which is so for processes that hang in a driver.
 */
const SWEEPER_SCRIPT = `
exec >/dev/null
cd /proc || exit
while read -r _; do :; done
sleep 1
empty=0
round=0
while [ "$empty" -lt 2 ] && [ "$round" -lt 30 ]; do
  round=$((round + 1))
  found=$(LC_ALL=C grep -lsF -e "MESH_ENGINE_MARK=$1" [0-9]*/environ)
  if [ -z "$found" ]; then empty=$((empty + 1)); continue; fi
  empty=0
  for file in $found; do kill -KILL "\${file%/environ}"; done
  sleep 0.2
done
`;

/**
 * Runs a program so that nothing of it outlives us, however we end.
 *
 * The shell forks a guard and a sweeper and then becomes the program. The guard holds our pipe on descriptor 3 and waits:
 * when the pipe ends, because we closed it or because we died, it kills its whole process group, the program's children
 * included, and itself with it. While the guard lives the group's number cannot be given to somebody else. The sweeper
 * is in a session of its own and holds a pipe from the guard: when the guard is gone, it kills what has left the group.
 *
 * - The `&` in a subshell of its own makes both children of init: the program never sees a child that it did not start.
 * - Both survive the SIGTERM that asks the group, or everything of a service, to stop: a later SIGKILL of ours must
 *   find them.
 * - They hold neither of the program's output pipes, so that their end means the end of the program's family. `exec`
 *   and not a redirection of the call: shells keep the redirected descriptor under another number until the call ends.
 * - The program begins when the sweeper has closed its output, which it does in a session of its own: killed with the
 *   group in its first moments it would be missed later.
 * - The guard waits for nothing else: looking at a process that hangs in a driver can hang too.
 * - The sweeper must not carry the mark itself.
 * - SPT_NOENV: Python programs that set their title, overwrite the environment that /proc shows,
 *   and with it the mark, unless this is set.
 */
const GUARD_SCRIPT = `
guard() {
  exec </dev/null 2>/dev/null
  trap '' HUP INT TERM
  read -r _ <&3
  kill -KILL 0
}
sweeper() {
  exec 2>/dev/null 3<&-
  trap '' HUP INT TERM
  mark=$MESH_ENGINE_MARK
  unset MESH_ENGINE_MARK
  exec setsid /bin/sh -c "$sweeper_script" sweeper "$mark"
}
sweeper_script=$1
shift
if [ -n "\${MESH_ENGINE_MARK-}" ] && [ -d /proc/self ] && command -v setsid >/dev/null; then
  _=$(guard | sweeper &)
else
  ( exec >/dev/null; guard & )
fi
export SPT_NOENV="\${SPT_NOENV-1}"
exec "$@" 3<&-
`;

/** The shell that runs the guard. */
export const GUARD_SHELL = '/bin/sh';

/** The guard's end of the pipe in the child. */
export const GUARD_DESCRIPTOR = 3;

/** The shell's arguments that run a program under a guard; the mark is in the environment. */
export function guardArguments(program: string, args: readonly string[]): string[] {
  return ['-c', GUARD_SCRIPT, 'guard', SWEEPER_SCRIPT, program, ...args];
}
