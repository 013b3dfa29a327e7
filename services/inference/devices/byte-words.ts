const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** Bytes in words, e.g. "21.6 GiB" or "812 MiB"; rounded down, so that what is free is never overstated. */
export function inWords(bytes: number): string {
  if (bytes >= GIB) return `${(Math.floor((bytes / GIB) * 10) / 10).toFixed(1)} GiB`;
  return `${Math.floor(bytes / MIB)} MiB`;
}
