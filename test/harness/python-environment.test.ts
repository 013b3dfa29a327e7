import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { hasPython, runPython } from './python-environment.ts';

describe.skipIf(!hasPython())('the Python of the tests', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-python-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  const script = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };

  test('has the packages, reads JSON and answers JSON; two that ask at once share one environment', async () => {
    const echo = script(
      'echo.py',
      'import json, sys, openai, requests\njson.dump([json.load(sys.stdin), sys.prefix], sys.stdout)',
    );
    const answers = (await Promise.all([1, 2].map((number) => runPython(echo, { number })))) as [unknown, string][];
    expect(answers.map(([input]) => input)).toEqual([{ number: 1 }, { number: 2 }]);
    expect(answers[0]?.[1]).toBe(answers[1]?.[1]);
    expect(answers[0]?.[1]).toContain('.venv');
  });

  test('tells what a script that fails said', async () => {
    await expect(runPython(script('broken.py', 'raise SystemExit("no such case")'), {})).rejects.toThrow(
      'no such case',
    );
  });
});
