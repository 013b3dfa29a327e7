// Stands in for the mesh in tests of the guard: starts a guarded engine with a stubborn family, prints their process ids
// as {"engine","grandchild"} and waits to be killed. With "term" it first asks the group to stop, as a shutdown would; with
// "session" the grandchild makes a session of its own, out of reach of the group.
import { spawnGuarded } from '../../services/inference/supervisor/spawn.ts';

const FAMILY = `
trap '' TERM
${process.argv[2] === 'session' ? 'setsid' : ''} sh -c 'trap "" TERM HUP INT; while :; do sleep 1; done' &
echo "{\\"engine\\":$$,\\"grandchild\\":$!}"
while :; do sleep 1; done
`;

const engine = spawnGuarded({
  program: 'sh',
  args: ['-c', FAMILY],
  environment: {},
  environmentVariable: (name) => process.env[name],
  onStdout: (line) => {
    if (process.argv[2] === 'term') engine.signal('SIGTERM');
    process.stdout.write(line);
  },
  onStderr: (line) => process.stderr.write(line),
});
await engine.exited;
