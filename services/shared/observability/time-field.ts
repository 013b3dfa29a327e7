let second = 0;
let upToSecond = '';

/** The time of a line as pino takes it, e.g. `,"time":"2026-11-21T10:00:00.123Z"`. What changes once a second is made once a second. */
export function timeField(): string {
  const nowMs = Date.now();
  const nowSecond = Math.floor(nowMs / 1_000);
  if (nowSecond !== second) {
    second = nowSecond;
    upToSecond = new Date(nowSecond * 1_000).toISOString().slice(0, -'000Z'.length);
  }
  return `,"time":"${upToSecond}${String(nowMs % 1_000).padStart(3, '0')}Z"`;
}
