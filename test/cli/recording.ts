// The session that README.md shows: commands in a window of 80 columns, against a mesh as a bare start makes it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { CTRL_D, openTerminal, type TerminalProgram } from '../harness/terminal.ts';
import { PROGRAM } from './cli-mesh.ts';

/** What stands around the recording in README.md. */
export const BEGIN = '<!-- recorded by `npm run recording`: a test compares it -->\n```console\n';
export const END = '```\n<!-- end of the recording -->\n';

const WINDOW = { columns: 80, rows: 40 };

/** Records the session. Takes a few seconds. */
export async function record(): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), 'mesh-recording-'));
  const mesh = await startMesh('one process', { config: { inference: { node: 'laptop', devices: 'none' } } });
  try {
    const env = { MESH_URL: mesh.url, MESH_DATA_DIR: mesh.dataDir('all'), HOME: home };
    const open = (args: string[]): TerminalProgram => openTerminal(PROGRAM, args, { cwd: home, env, size: WINDOW });
    const blocks = [
      await command(open, ['status']),
      await command(open, ['run', '--temperature', '0', 'What is the capital of France?']),
      await chat(open),
      await command(open, ['models', 'unload', 'default']),
      await load(open),
      await command(open, ['keys', 'create', '--name', 'my-app']),
      await usage(open),
    ];
    return blocks.map((block) => presentable(block, mesh)).join('\n');
  } finally {
    await mesh.stop();
    rmSync(home, { recursive: true });
  }
}

/** The recording without what differs each time. */
export function comparable(recording: string): string {
  return recording
    .replace(/im_\S+/g, 'im_SECRET')
    .replace(/\b(?=\w*\d|\w*[A-Z])[A-Za-z0-9]{12}\b/g, 'KEY-ID')
    .replace(/\d+(\.\d+)? (ms|s)\b/g, 'TIME')
    .replace(/\[█*░*\] +\d+ %.*/g, 'BAR');
}

type Open = (args: string[]) => TerminalProgram;

function prompt(args: readonly string[]): string {
  return `$ inference-mesh ${args.map((arg) => (/^[\w,:.-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ')}`;
}

async function command(open: Open, args: string[]): Promise<string> {
  const terminal = open(args);
  const code = await terminal.ended();
  const shown = await lines(terminal);
  terminal.close();
  if (code !== 0) throw new Error(`${prompt(args)} ended with ${code}:\n${shown.join('\n')}`);
  return [prompt(args), ...shown, ''].join('\n');
}

async function chat(open: Open): Promise<string> {
  const args = ['chat', '--temperature', '0'];
  const terminal = open(args);
  await terminal.sees(/^>/);
  terminal.type('Tell me a joke\r');
  await eventually(
    'it is answered',
    async () => (await lines(terminal)).at(-1) === '>' && (await lines(terminal)).length > 3,
  );
  terminal.type(CTRL_D);
  await terminal.ended();
  const shown = await lines(terminal);
  terminal.close();
  return [prompt(args), ...shown, ''].join('\n');
}

/** The bar is gone at the end: the last that it showed stands above what came after. */
async function load(open: Open): Promise<string> {
  const args = ['models', 'load', 'default'];
  const terminal = open(args);
  await terminal.ended();
  const bars = stripVTControlCharacters(terminal.raw())
    .split(/[\r\n]+/)
    .filter((line) => line.startsWith('['));
  const shown = await lines(terminal);
  terminal.close();
  return [prompt(args), bars.at(-1) ?? '', ...shown, ''].join('\n');
}

/** A bill comes a moment after its answer. */
async function usage(open: Open): Promise<string> {
  const args = ['usage', '--by', 'key,model'];
  return await eventually('both answers are billed', async () => {
    const block = await command(open, args);
    return /\n2 requests/.test(block) ? block : undefined;
  });
}

async function lines(terminal: TerminalProgram): Promise<string[]> {
  const screen = await terminal.screen();
  return screen.slice(0, screen.findLastIndex((line) => line !== '') + 1);
}

/** Keys are not shown whole: what looks like a secret gets reported. */
function presentable(block: string, { url }: TestMesh): string {
  return block
    .replaceAll(url, 'http://127.0.0.1:8000')
    .replace(/(im_\w{12}_)\S+/g, '$1…')
    .replace(/ +$/gm, '');
}
