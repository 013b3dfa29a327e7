import cliTruncate from 'cli-truncate';
import { clean, tableLines } from '../output/table.ts';
import type { Output } from '../output/terminal.ts';
import { bytesWord } from '../output/words.ts';
import type { DeviceRow, EngineRow, View } from './view.ts';

const BLOCKS = '▁▂▃▄▅▆▇█';

/** What stands around the view. */
export interface ScreenFrame {
  /** E.g. "22:40:05". */
  readonly time: string;
  /** Tokens per second of earlier views, oldest first. */
  readonly history: readonly number[];
  /** Why the view is old. Unset: it is not. */
  readonly problem: string | undefined;
}

/** The lines of the screen, no more and no wider than the window. */
export function screenLines(view: View, { time, history, problem }: ScreenFrame, output: Output): string[] {
  const width = output.width ?? 80;
  const head = [
    ...headLines(view, output, time),
    ...(history.length === 0 ? [] : [output.style('cyan', sparkline(history, width))]),
    ...(problem === undefined ? [] : [output.style('red', clean(problem))]),
  ].map((line) => cliTruncate(line, width));
  const foot = output.style('dim', cliTruncate('q leaves', width));
  const room = Math.max(0, output.height - head.length - 1);
  return [...head, ...cut(bodyLines(view, output), room), foot].slice(0, output.height);
}

/** One view that is printed and not drawn: all of it, however low a window is. */
export function viewLines(view: View, output: Output): string[] {
  return [...headLines(view, output), ...bodyLines(view, output)];
}

function headLines({ url, tokensPerSecond, running, waiting }: View, output: Output, time?: string): string[] {
  return [
    [output.style('bold', 'inference-mesh'), url, ...(time === undefined ? [] : [time])].join('  '),
    `tokens/s ${output.style('bold', tokensPerSecond.toFixed(1))}   running ${running}   waiting ${waiting}`,
  ];
}

function bodyLines(view: View, output: Output): string[] {
  const devices = view.devices.length === 0 ? [] : ['', ...tableLines(DEVICES, view.devices, output)];
  const engines =
    view.engines.length === 0 ? ['', 'no engines'] : ['', ...tableLines(engineColumns(), view.engines, output)];
  return [...devices, ...engines];
}

const DEVICES = [
  { title: 'DEVICE', of: ({ node, device }: DeviceRow) => `${node} ${device}`, mayShrink: true },
  { title: 'MEMORY', isFigure: true, of: memoryWord },
  { title: 'ENGINES', of: ({ engines, excluded }: DeviceRow) => excluded || engines.join(' ') || '-', mayShrink: true },
  { title: 'NAME', of: ({ name }: DeviceRow) => name, mayShrink: true },
];

function engineColumns() {
  return [
    { title: 'ENGINE', of: ({ node, name }: EngineRow) => `${node} ${name}`, mayShrink: true },
    { title: 'TOKENS/S', isFigure: true, of: ({ tokensPerSecond }: EngineRow) => tokensPerSecond.toFixed(1) },
    { title: 'RUN', isFigure: true, of: ({ running }: EngineRow) => String(running) },
    { title: 'WAIT', isFigure: true, of: ({ waiting }: EngineRow) => String(waiting) },
    {
      title: 'KV',
      isFigure: true,
      of: ({ kvCacheUsed }: EngineRow) => (kvCacheUsed === undefined ? '-' : `${Math.round(kvCacheUsed * 100)} %`),
    },
    {
      title: 'STATE',
      of: ({ state }: EngineRow) => state,
      mayShrink: true,
      style: ({ isReady }: EngineRow) => (isReady ? ('green' as const) : ('yellow' as const)),
    },
  ];
}

function memoryWord({ memoryUsedBytes, memoryTotalBytes }: DeviceRow): string {
  return memoryTotalBytes === 0 ? '-' : `${bytesWord(memoryUsedBytes)} of ${bytesWord(memoryTotalBytes)}`;
}

/** Says how many lines a low window has no place for. */
function cut(lines: readonly string[], room: number): string[] {
  if (lines.length <= room) return [...lines];
  return room === 0 ? [] : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`];
}

function sparkline(history: readonly number[], width: number): string {
  const shown = history.slice(-width);
  const most = Math.max(1, ...shown);
  return shown.map((value) => BLOCKS[Math.round((value / most) * (BLOCKS.length - 1))] ?? '').join('');
}
