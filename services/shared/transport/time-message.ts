import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';

// As timestampFromMs and durationFromMs of Protobuf-ES, for what every request says several times: written out they cost a tenth.

/** A moment in whole milliseconds since the epoch. */
export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1_000);
  return {
    $typeName: 'google.protobuf.Timestamp',
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1_000) * 1_000_000,
  };
}

/** A time of so many whole milliseconds, 0 at least. */
export function durationOf(ms: number): Duration {
  const seconds = Math.floor(ms / 1_000);
  return { $typeName: 'google.protobuf.Duration', seconds: BigInt(seconds), nanos: (ms - seconds * 1_000) * 1_000_000 };
}
