import { expect, test } from 'vitest';
import { DevicePresence } from './device-presence.ts';
import { type DriverReading, type GpuReading, NO_DEVICES } from './gpu-reading.ts';

const gpu = (name: string): GpuReading => ({
  index: 0,
  uuid: `GPU-${name}`,
  name,
  totalBytes: 1,
  usedBytes: 0,
  migMode: false,
});

const whole = (...names: string[]): DriverReading => ({
  ...NO_DEVICES,
  absent: false,
  isWhole: true,
  gpus: names.map(gpu),
});

/** A driver that is late or fails; it may list some devices all the same. */
const failed = (...names: string[]): DriverReading => ({ ...whole(...names), isWhole: false, problem: 'late' });

/** What each reading says, e.g. "-a +b". */
function told(...readings: readonly DriverReading[]): string[] {
  const presence = new DevicePresence();
  return readings.map((reading) => {
    const { appeared, gone } = presence.see(reading);
    return [...gone.map(({ name }) => `-${name}`), ...appeared.map(({ name }) => `+${name}`)].join(' ');
  });
}

test.each<[string, readonly DriverReading[], readonly string[]]>([
  ['what is there at first has not appeared', [whole('a', 'b'), whole('a', 'b')], ['', '']],
  [
    'gone when it is missing twice in a row, once',
    [whole('a', 'b'), whole('a'), whole('a'), whole('a')],
    ['', '', '-b', ''],
  ],
  ['missing once is nothing', [whole('a', 'b'), whole('a'), whole('a', 'b'), whole('a')], ['', '', '', '']],
  [
    'a driver that fails says nothing',
    [whole('a', 'b'), failed(), failed(), failed('a'), failed('a')],
    ['', '', '', '', ''],
  ],
  [
    'a failure in between starts anew',
    [whole('a', 'b'), whole('a'), failed(), whole('a'), whole('a')],
    ['', '', '', '', '-b'],
  ],
  [
    'back and gone again',
    [whole('a', 'b'), whole('a'), whole('a'), whole('a', 'b'), whole('a'), whole('a')],
    ['', '', '-b', '+b', '', '-b'],
  ],
  ['new ones appear', [whole('a'), whole('a', 'b'), failed('a', 'b', 'c')], ['', '+b', '+c']],
  ['several at once', [whole('a', 'b', 'c'), whole('a'), whole('a')], ['', '', '-b -c']],
])('%s', (_, readings, expected) => {
  expect(told(...readings)).toEqual(expected);
});
