import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { durationOf, timestampOf } from './time-message.ts';

test.each([0, 1, 999, 1_000, 1_001, 86_400_000, 1_795_000_000_123, -1, -1_500])(
  '%i ms are as Protobuf-ES says them',
  (ms) => {
    expect(timestampOf(ms)).toStrictEqual(timestampFromMs(ms));
    if (ms >= 0) expect(durationOf(ms)).toStrictEqual(durationFromMs(ms));
  },
);
