import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Config, loadConfig } from '../../../services/config.ts';
import { loadEnvironment } from '../../../services/flags.ts';
import { ConfigError } from '../../../services/shared/lifecycle/config-source.ts';
import { type Commands, examples } from '../command.ts';
import { checkDevices, checkEmbedded, checkPrograms } from '../doctor/engines.ts';
import { type Finding, ok, problem } from '../doctor/finding.ts';
import { checkClaims, checkDataDirectory, checkNode } from '../doctor/machine.ts';
import { checkMesh, checkPeers, checkPort } from '../doctor/network.ts';
import { checkStore } from '../doctor/store.ts';
import { EXIT } from '../exit-code.ts';
import { clean } from '../output/table.ts';
import type { Session } from '../session.ts';

/** The flags of a start that it looks at. */
const START_FLAGS = {
  host: 'host',
  port: 'port',
  config: 'config',
  dataDir: 'data-dir',
  roles: 'roles',
  model: 'model',
} as const;
type StartOptions = { readonly [Name in keyof typeof START_FLAGS]?: string };

const CLAIMS_DIRECTORY = '/dev/shm/inference-mesh';

export function add(program: Command, { act }: Commands): Command {
  return program
    .command('doctor')
    .description(
      'Looks at drivers, devices, port, store, versions, disk, configuration and reachability, and says what to mend. Give it the flags of the start that you mean. Ends with 1 when there is a problem.',
    )
    .option('--host <address>', 'as for start')
    .option('--port <number>', 'as for start')
    .option('--config <file>', 'as for start')
    .option('--roles <list>', 'as for start')
    .option('--model <model>', 'as for start')
    .addHelpText('after', examples(['inference-mesh doctor --config mesh.yaml', 'before a start']))
    .action(act(examine));
}

async function examine(session: Session, _args: string[], options: StartOptions): Promise<number> {
  const findings = await findingsOf(session, options);
  const count = (level: Finding['level']): number => findings.filter((finding) => finding.level === level).length;
  const [problems, warnings] = [count('problem'), count('warning')];
  if (session.isJson) session.json({ problems, warnings, findings });
  else for (const line of findings.flatMap((finding) => findingLines(session, finding))) session.out.line(line);
  if (!session.isJson) session.out.line(`\nproblems: ${problems}, warnings: ${warnings}`);
  return problems > 0 ? EXIT.failed : EXIT.ok;
}

async function findingsOf(session: Session, options: StartOptions): Promise<Finding[]> {
  const { host } = session;
  const versions = checkNode(host.nodeVersion, host.version);
  let config: Config;
  let env: NodeJS.ProcessEnv;
  try {
    const argv = Object.entries(START_FLAGS).flatMap(([name, flag]) => {
      const value = options[name as keyof StartOptions];
      return value === undefined ? [] : [`--${flag}`, value];
    });
    env = loadEnvironment(argv, host.env, host.workingDirectory);
    config = loadConfig(argv, env, host.workingDirectory);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // What the others look at is not known then.
    return [
      versions,
      problem('configuration', error.message, 'Mend that line, flag or variable; docs/configuration.md has all.'),
    ];
  }
  const roles = [...config.roles].join(', ');
  const findings = [versions, ok('configuration', `holds; roles ${roles}`)];
  findings.push(...(await checkDataDirectory(config.server.data_dir)));
  if (['auth', 'quota', 'tasks'].some((role) => config.roles.has(role as 'auth')))
    findings.push(await checkStore(config));
  if (config.roles.has('inference')) findings.push(...(await inferenceFindings(config, env, host.workingDirectory)));
  findings.push(await checkPort(config), ...(await checkPeers(config)), ...(await checkMesh(session, config)));
  return findings;
}

async function inferenceFindings(config: Config, env: NodeJS.ProcessEnv, workingDirectory: string): Promise<Finding[]> {
  const { findings, hasDevices } = await checkDevices(config, env);
  findings.push(checkEmbedded(hasDevices), ...(await checkPrograms(config, env)));
  const claims = resolve(workingDirectory, env.MESH_DEVICE_CLAIMS_DIR || CLAIMS_DIRECTORY);
  if (hasDevices) findings.push(await checkClaims(claims));
  return findings;
}

const MARKS = { ok: ['green', 'ok     '], warning: ['yellow', 'warning'], problem: ['red', 'problem'] } as const;

function findingLines({ out }: Session, { check, level, what, fix }: Finding): string[] {
  const [style, mark] = MARKS[level];
  const lines = [`${out.style(style, mark)}  ${check}: ${clean(what)}`];
  return fix ? [...lines, `         → ${clean(fix)}`] : lines;
}
