import { pino } from 'pino';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { followName } from './followed-name.ts';

const log = pino({ level: 'silent' });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What is told of a name whose answers are these, one after the other, the last for ever. */
function follow(...answers: (readonly string[] | Error)[]) {
  const told: [came: readonly string[], went: readonly string[]][] = [];
  let asked = 0;
  const end = followName({
    host: 'routers',
    onChange: (...change) => told.push(change),
    log,
    async lookup() {
      const answer = answers[Math.min(asked, answers.length - 1)] ?? [];
      asked += 1;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  onTestFinished(end);
  return { told, asked: () => asked, end };
}

const failure = new Error('SERVFAIL');

test('tells who is there, who comes and who goes', async () => {
  const { told } = follow(['10.0.0.1', 'fd00::2', '10.0.0.1'], ['fd00::2', '10.0.0.1'], ['fd00::2', '10.0.0.3']);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(told).toEqual([
    [['10.0.0.1', 'fd00::2'], []],
    [['10.0.0.3'], ['10.0.0.1']],
  ]);
});

test('a look-up that fails or finds nothing changes nothing', async () => {
  const { told, asked } = follow(['10.0.0.1'], failure, [], failure, ['10.0.0.1', '10.0.0.2']);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked()).toBe(5);
  expect(told).toEqual([
    [['10.0.0.1'], []],
    [['10.0.0.2'], []],
  ]);
});

test('a name that nobody knows yet is asked for sooner', async () => {
  const { told } = follow(failure, failure, ['10.0.0.1']);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(told).toEqual([[['10.0.0.1'], []]]);
});

test('who has ended it hears nothing more, of a look-up under way neither', async () => {
  let answer: (addresses: string[]) => void = () => {};
  const onChange = vi.fn();
  const end = followName({
    ...{ host: 'routers', onChange, log },
    lookup: () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  });
  end();
  answer(['10.0.0.1']);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(onChange).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
