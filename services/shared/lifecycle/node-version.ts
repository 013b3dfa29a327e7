import { ConfigError } from './config-source.ts';

/**
 * The least safe release of each line: below it HTTP/2 lacks the fixes of July 2026 (retained headers, re-entrant send).
 * Reviewed at every security release of Node.js. Lines that are not listed and older than the newest are refused.
 */
const FLOORS: ReadonlyMap<number, readonly [minor: number, patch: number]> = new Map([
  [22, [23, 2]],
  [24, [18, 1]],
  [26, [5, 1]],
]);

/**
 * Refuses an unsafe Node.js.
 *
 * @throws ConfigError that names the version and what to do.
 */
export function requireNode(version: string): void {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  if (major > Math.max(...FLOORS.keys())) return;
  const floor = FLOORS.get(major);
  if (floor && (minor > floor[0] || (minor === floor[0] && patch >= floor[1]))) return;
  const safe = [...FLOORS].map(([line, [floorMinor, floorPatch]]) => `${line}.${floorMinor}.${floorPatch}`).join(', ');
  throw new ConfigError(
    `Node.js ${version} is not safe to serve with; use at least ${safe}, or start with "npm start"`,
  );
}
