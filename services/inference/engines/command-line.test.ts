import { describe, expect, test } from 'vitest';
import { ARGPARSE, CLAP, flagMeant, LLAMA_CPP, NODE, type Spelling } from './command-line.ts';

const FLAGS = ['--port', '-p', '-tp', '--tensor-parallel-size', '--ssl-*', '--log-requests'];

function table(spelling: Spelling, rows: readonly (readonly [string, string | undefined])[]): void {
  test.each(rows)('%s is %s', (argument, flag) => {
    expect(flagMeant(argument, FLAGS, spelling)).toBe(flag);
  });
}

/** For every parser. */
const EVERYWHERE = [
  ['--port', '--port'],
  ['--port=80', '--port'],
  ['--port 80', '--port'],
  ['-p', '-p'],
  ['--ssl-keyfile=/x', '--ssl-*'],
  ['--export', undefined],
  ['--ports', undefined],
  ['80', undefined],
  ['a--port', undefined],
  ['port', undefined],
  ['{"--port": 80}', undefined],
  ['--seed=--port', undefined],
  ['-1', undefined],
  ['-0.5', undefined],
  ['-', undefined],
  ['--', undefined],
  ['---port', undefined],
  ['', undefined],
] as const;

describe('argparse', () => {
  table(ARGPARSE, [
    ...EVERYWHERE,
    ['--tensor_parallel_size', '--tensor-parallel-size'],
    ['--tensor_parallel_size=2', '--tensor-parallel-size'],
    ['--tensor-para', '--tensor-parallel-size'],
    ['--tensor_para=2', '--tensor-parallel-size'],
    ['--ss', '--ssl-*'],
    ['--tensor-parallel-size.x', '--tensor-parallel-size'],
    ['-tp=2', '-tp'],
    ['-tp2', '-tp'],
    ['-t', '-tp'],
    ['-p80', '-p'],
    ['--no-log-requests', '--log-requests'],
    ['--no-log-req', '--log-requests'],
    ['--no_log_requests', '--log-requests'],
    ['--no-colour', undefined],
    ['--tensor-parallel-sizes', undefined],
  ]);

  test('a flag that is the beginning of another is itself', () => {
    expect(flagMeant('--device', ['--device-ids', '--device'], ARGPARSE)).toBe('--device');
  });
});

describe('clap', () => {
  table(CLAP, [
    ...EVERYWHERE,
    ['-p80', '-p'],
    ['-p=80', '-p'],
    ['-ep80', '-p'],
    ['-ep', '-p'],
    ['-e', undefined],
    ['-gp80', undefined],
    ['--tensor_parallel_size', undefined],
    ['--tensor-para', undefined],
    ['--no-log-requests', undefined],
  ]);
});

describe('llama.cpp', () => {
  table(LLAMA_CPP, [
    ...EVERYWHERE,
    ['--tensor_parallel_size', '--tensor-parallel-size'],
    ['--tensor-para', undefined],
    ['-p80', undefined],
    ['-t', undefined],
  ]);
});

describe('Node.js', () => {
  table(NODE, [
    ...EVERYWHERE,
    ['--tensor_parallel_size', undefined],
    ['--tensor-para', undefined],
    ['-p80', undefined],
  ]);
});
