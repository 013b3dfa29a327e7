import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createDiagLogger } from './diag-log.ts';

test('the same trouble is told once a minute, and what is no warning never', () => {
  const lines: { level: number; msg: string; details: string[] }[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  let nowMs = 0;
  const diag = createDiagLogger(log, () => nowMs);
  diag.error('the collector does not answer', new Error('refused'));
  diag.error('the collector does not answer', new Error('refused'));
  diag.warn('something else', 3);
  diag.error(JSON.stringify({ message: 'connect ECONNREFUSED', stack: 'Error: at /home/somebody' }));
  diag.info('never');
  diag.debug('never');
  nowMs = 60_000;
  diag.error('the collector does not answer');
  expect(lines.map(({ level, msg, details }) => [level, msg, details])).toEqual([
    [50, 'traces: the collector does not answer', ['refused']],
    [40, 'traces: something else', ['3']],
    [50, 'traces: connect ECONNREFUSED', []],
    [50, 'traces: the collector does not answer', []],
  ]);
});
