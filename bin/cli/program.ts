import { Command, CommanderError } from 'commander';
import { type Commands, createCommands, examples, Outcome } from './command.ts';
import { EXIT } from './exit-code.ts';
import { failureLine } from './failure-line.ts';
import type { Host } from './host.ts';

/** A command, or several of one kind, in a file that is loaded only when it is asked for. */
interface Family {
  readonly name: string;
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<{ add: (program: Command, commands: Commands) => Command }>;
}

const RUN = 'Run a mesh:';
const ASK = 'Ask a model:';
const OPERATE = 'Look after a mesh:';
const GRANT = 'Say who may:';

const FAMILIES: readonly Family[] = [
  { name: 'start', summary: 'start a mesh here', group: RUN, load: () => import('./commands/start.ts') },
  { name: 'status', summary: 'how the mesh is', group: RUN, load: () => import('./commands/status.ts') },
  {
    name: 'doctor',
    summary: 'what is wrong on this machine, and how to mend it',
    group: RUN,
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'backup',
    summary: 'copy the embedded store, also of a mesh that runs',
    group: RUN,
    load: () => import('./commands/backup.ts'),
  },
  { name: 'chat', summary: 'talk with a model', group: ASK, load: () => import('./commands/chat.ts') },
  { name: 'run', summary: 'one prompt, one answer, for pipes', group: ASK, load: () => import('./commands/run.ts') },
  {
    name: 'models',
    summary: 'list, load and unload models',
    group: OPERATE,
    load: () => import('./commands/models.ts'),
  },
  {
    name: 'engines',
    summary: 'list engines, read their logs, explain choices',
    group: OPERATE,
    load: () => import('./commands/engines.ts'),
  },
  { name: 'tasks', summary: 'list, watch and cancel tasks', group: OPERATE, load: () => import('./commands/tasks.ts') },
  {
    name: 'top',
    summary: 'devices, engines, tokens and the queue, live',
    group: OPERATE,
    load: () => import('./commands/top.ts'),
  },
  {
    name: 'keys',
    summary: 'create, list, rotate, revoke and hash API keys',
    group: GRANT,
    load: () => import('./commands/keys.ts'),
  },
  {
    name: 'users',
    summary: 'create, list, disable and enable users',
    group: GRANT,
    load: () => import('./commands/users.ts'),
  },
  { name: 'orgs', summary: 'create and list organisations', group: GRANT, load: () => import('./commands/orgs.ts') },
  { name: 'limits', summary: 'see, set and explain limits', group: GRANT, load: () => import('./commands/limits.ts') },
  { name: 'usage', summary: 'who used how much', group: GRANT, load: () => import('./commands/usage.ts') },
];

const EXAMPLES = examples(
  ['inference-mesh start', 'a mesh at http://127.0.0.1:8000'],
  ['inference-mesh chat', 'talk with its default model'],
  ['git diff | inference-mesh run "A commit message, please"', 'prompt and standard input together'],
  ['inference-mesh models load hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF', 'with its progress'],
  ['inference-mesh keys create --name my-app', 'a key, shown once'],
  ['inference-mesh keys hash', 'for auth.api_keys of the configuration file'],
  ['inference-mesh --json engines list | jq .', 'for programs'],
);

/** Runs a command line, and tells how the process is to end. Rejects with what the command could not do. */
export async function runCommandLine(args: readonly string[], host: Host, outcome = new Outcome()): Promise<Outcome> {
  const program = await createProgram(args, host, outcome);
  if (args.length === 0) {
    host.stdout.write(program.helpInformation() + EXAMPLES);
    return outcome;
  }
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    outcome.exitCode = explain(error, host, args.includes('--json'));
  }
  return outcome;
}

/** All commands; those whose names are not in `args` by their summaries alone. */
export async function createProgram(args: readonly string[], host: Host, outcome: Outcome): Promise<Command> {
  const program = new Command('inference-mesh')
    .description('The command line of an inference mesh.')
    .version(host.version)
    .option('--url <address>', 'the mesh to call (MESH_URL, else this machine at port 8000)')
    .option(
      '--key-file <path>',
      'the file of the API key to call with, - for standard input (MESH_API_KEY, else the admin key here)',
    )
    .option('--data-dir <path>', 'where a mesh of this machine keeps its admin key (MESH_DATA_DIR, else .mesh)')
    .option('--json', 'answers as JSON, for programs')
    .option('--no-color', 'no colours (NO_COLOR)')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    // What was typed may be a secret, so the words of commander, which repeat it, are not shown.
    .configureOutput({
      writeOut: (text) => host.stdout.write(text),
      writeErr: (text) => void (args.includes('--json') || host.stderr.write(text)),
      outputError: () => {},
    })
    .addHelpText('after', EXAMPLES);
  const commands = createCommands(host, outcome);
  for (const family of FAMILIES) {
    // A name may stand behind options, and `help` before it: more than needed does no harm.
    const command = args.includes(family.name)
      ? (await family.load()).add(program, commands)
      : program.command(family.name);
    command.summary(family.summary).helpGroup(family.group);
  }
  return program;
}

/** Says what is wrong with a command line without repeating it. */
function explain(error: CommanderError, { stderr }: Host, isJson: boolean): number {
  if (error.exitCode === 0) return EXIT.ok;
  // A person saw the help instead.
  if (error.code === 'commander.help' && !isJson) return EXIT.usage;
  const hint = /\(Did you mean .*\)/s.exec(error.message)?.[0];
  const words: Readonly<Record<string, string>> = {
    'commander.help': 'a command is missing',
    'commander.unknownCommand': 'unknown command',
    'commander.unknownOption': 'unknown option',
    'commander.excessArguments': 'too many arguments; put words that belong together into quotes',
  };
  const known = words[error.code] ?? error.message.replace(/^error: /, '');
  const message = `${known}${hint ? ` ${hint.replaceAll('\n', ' ')}` : ''}; see --help`;
  stderr.write(failureLine({ exitCode: EXIT.usage, reason: 'USAGE', message }, isJson));
  return EXIT.usage;
}
