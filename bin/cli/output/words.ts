import type { DescEnum } from '@bufbuild/protobuf';
import { type Duration, durationMs, type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';

/** The value of an enum in small letters, e.g. "ready"; a number that this version does not know as it is. */
export function enumWord(schema: DescEnum, value: number): string {
  return schema.value[value]?.localName.toLowerCase().replaceAll('_', ' ') ?? String(value);
}

/** A moment in UTC to the second, e.g. "2026-11-21 22:40:05"; "-" if there is none. */
export function momentWord(moment: Timestamp | undefined): string {
  return moment ? new Date(timestampMs(moment)).toISOString().slice(0, 19).replace('T', ' ') : '-';
}

/** A time span, e.g. "850 ms", "12.3 s", "4 m 10 s", "2 d 3 h". */
export function spanWord(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  for (const [size, name, rest, restName] of [
    [86_400, 'd', 3_600, 'h'],
    [3_600, 'h', 60, 'm'],
    [60, 'm', 1, 's'],
  ] as const) {
    if (seconds >= size)
      return `${Math.floor(seconds / size)} ${name} ${Math.floor((seconds % size) / rest)} ${restName}`;
  }
  return `${seconds} s`;
}

/** As spanWord; "-" if there is none. */
export function durationWord(duration: Duration | undefined): string {
  return duration ? spanWord(durationMs(duration)) : '-';
}

/** A count with its thousands apart, e.g. "1,234,567". */
export function countWord(count: bigint | number): string {
  return count.toLocaleString('en-US');
}

/** Bytes in binary units, e.g. "23.7 GiB". */
export function bytesWord(bytes: bigint | number): string {
  let value = Number(bytes);
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1_024) return `${unit === 'B' ? value : value.toFixed(1)} ${unit}`;
    value /= 1_024;
  }
  return `${value.toFixed(1)} TiB`;
}
