import { describe, expect, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { StartRefusedError } from '../engines/start-refused.ts';
import { type Ending, failureOf, refused } from './failure-cause.ts';
import type { EngineLogLine } from './log-lines.ts';

const EXIT_1: Ending = { kind: 'exit', exit: { code: 1 } };

function lines(...texts: string[]): EngineLogLine[] {
  return texts.map((text, index) => ({ atMs: index, fromStderr: true, text }));
}

const causeOf = (ending: Ending, ...texts: string[]) => failureOf(ending, lines(...texts), []).cause;

test.each<[string, FailureCause]>([
  ['x: error: unrecognized arguments: --nope', FailureCause.BAD_FLAG],
  ["error: unexpected argument '--nope' found", FailureCause.BAD_FLAG],
  ["x serve: error: argument --dtype: invalid choice: 'f17'", FailureCause.BAD_FLAG],
  ['OSError: [Errno 98] error while attempting to bind on address', FailureCause.ORPHAN_FOUND],
  ['RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable', FailureCause.DEVICE_BUSY],
  ['torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB', FailureCause.OUT_OF_MEMORY_WEIGHTS],
  ['RuntimeError: CUDA driver error: out of memory', FailureCause.OUT_OF_MEMORY_WEIGHTS],
  ['allocating 1312.00 MiB on device 0: cudaMalloc failed: out of memory', FailureCause.OUT_OF_MEMORY_WEIGHTS],
  ['failed to initialize the context: failed to allocate buffer for kv cache', FailureCause.OUT_OF_MEMORY_KV_CACHE],
  ['RuntimeError: NCCL error: unhandled system error', FailureCause.NCCL],
  ["error loading model architecture: unknown model architecture: 'x'", FailureCause.UNSUPPORTED_MODEL],
  ["Model architectures ['X'] are not supported for now", FailureCause.UNSUPPORTED_MODEL],
])('%s', (text, cause) => {
  expect(causeOf(EXIT_1, 'starting', text, 'bye')).toBe(cause);
});

describe('where the cause is told', () => {
  test('by a child, hundreds of lines before the last one: those lines are the evidence', () => {
    const noise = Array.from({ length: 400 }, (_, index) => `shutting down ${index}`);
    const root = ['Traceback:', '  File "x.py"', 'torch.OutOfMemoryError: CUDA out of memory.'];
    const failure = failureOf(EXIT_1, lines('hello', ...root, ...noise, 'RuntimeError: see root cause above'), []);
    expect(failure.cause).toBe(FailureCause.OUT_OF_MEMORY_WEIGHTS);
    expect(failure.evidence).toEqual(['hello', ...root, ...noise.slice(0, 3)]);
    expect(failure.hint).toContain('does not fit');
  });

  test("the engine's own signatures come first, in their order", () => {
    const own = [
      { pattern: /root/, cause: FailureCause.NCCL, hint: 'first' },
      { pattern: /above/, cause: FailureCause.DEVICE_BUSY, hint: 'second' },
    ];
    const log = lines('CUDA out of memory', 'see above', 'the root');
    expect(failureOf(EXIT_1, log, own)).toMatchObject({ cause: FailureCause.NCCL, hint: 'first' });
    expect(failureOf(EXIT_1, log.slice(0, 2), own)).toMatchObject({ cause: FailureCause.DEVICE_BUSY });
    expect(failureOf(EXIT_1, log.slice(0, 1), own)).toMatchObject({ cause: FailureCause.OUT_OF_MEMORY_WEIGHTS });
  });

  test('a signature with the flag g is as good the second time', () => {
    const own = [{ pattern: /boom/g, cause: FailureCause.NCCL, hint: '' }];
    for (let time = 0; time < 3; time++) expect(failureOf(EXIT_1, lines('boom'), own).cause).toBe(FailureCause.NCCL);
  });

  test('nowhere: the last lines, and how it ended', () => {
    const failure = failureOf({ kind: 'exit', exit: { code: 0 } }, lines(...'abcdefghijklmnopqrstuvwxyz'), []);
    expect(failure.cause).toBe(FailureCause.EXITED_UNASKED);
    expect(failure.evidence).toHaveLength(20);
    expect(failure.evidence.at(-1)).toBe('z');
    expect(failure.hint).toContain('code 0');
    expect(failureOf({ kind: 'exit', exit: { signal: 'SIGKILL' } }, [], []).hint).toContain('memory');
  });
});

test('what is known by what it did is not looked for in the log', () => {
  const oom = 'CUDA out of memory';
  expect(causeOf({ kind: 'hung', stillMs: 60_000 }, oom)).toBe(FailureCause.HUNG);
  expect(causeOf({ kind: 'wrong-model', expected: 'a', found: 'b' }, oom)).toBe(FailureCause.WRONG_MODEL);
  expect(causeOf({ kind: 'survived', problem: 'p' }, oom)).toBe(FailureCause.ORPHAN_FOUND);
  const missing: Ending = { kind: 'not-started', cause: FailureCause.BAD_FLAG, problem: 'why' };
  expect(failureOf(missing, lines(oom), [])).toMatchObject({ cause: FailureCause.BAD_FLAG, hint: 'why' });
});

test('a start that an engine refused tells what it said and what to change', () => {
  const error = new StartRefusedError(FailureCause.UNSUPPORTED_MODEL, 'not pulled', 'Pull it.');
  expect(failureOf(refused(error), lines('CUDA out of memory'), [])).toEqual({
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'Pull it.',
    evidence: ['CUDA out of memory', 'not pulled'],
  });
});

test('a start that stalled, or could not make a token, may have told why', () => {
  expect(causeOf({ kind: 'stalled', problem: 'p' }, 'NCCL error: timed out')).toBe(FailureCause.NCCL);
  expect(causeOf({ kind: 'stalled', problem: 'p' }, 'loading')).toBe(FailureCause.START_STALLED);
  expect(causeOf({ kind: 'warm-up', problem: 'p' }, 'CUDA out of memory')).toBe(FailureCause.OUT_OF_MEMORY_WEIGHTS);
  expect(causeOf({ kind: 'warm-up', problem: 'p' }, 'ready')).toBe(FailureCause.UNSUPPORTED_MODEL);
});

test.each([126, 127])('code %i: the program is missing', (code) => {
  expect(causeOf({ kind: 'exit', exit: { code } })).toBe(FailureCause.EXECUTABLE_MISSING);
});
