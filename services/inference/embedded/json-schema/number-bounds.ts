import { SchemaError, type SchemaNode, type SchemaPath } from './schema-node.ts';

/** Every reader of JSON keeps so many digits; a longer number may be read as the bound that it must not reach. */
export const MAX_DIGITS = 15;
const LARGEST = 10 ** MAX_DIGITS - 1;

/** Which numbers a schema allows; `open`: all but the bound itself. */
export type Bounds = {
  readonly low: number;
  readonly high: number;
  readonly openLow: boolean;
  readonly openHigh: boolean;
};

/** The bounds that a schema has; undefined: it has none. Throws SchemaError for one that cannot be held to. */
export function readBounds(node: SchemaNode, isInteger: boolean, path: SchemaPath): Bounds | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = node;
  if ([minimum, maximum, exclusiveMinimum, exclusiveMaximum].every((bound) => bound === undefined)) return undefined;
  for (const keyword of ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'] as const) {
    const bound = node[keyword];
    if (bound === undefined || isInteger || Number.isInteger(bound)) continue;
    throw new SchemaError([...path, keyword], 'unsupported', 'must be whole: other bounds this engine cannot hold to');
  }
  return {
    low: Math.max(minimum ?? -Infinity, exclusiveMinimum ?? -Infinity),
    high: Math.min(maximum ?? Infinity, exclusiveMaximum ?? Infinity),
    openLow: exclusiveMinimum !== undefined && exclusiveMinimum >= (minimum ?? -Infinity),
    openHigh: exclusiveMaximum !== undefined && exclusiveMaximum <= (maximum ?? Infinity),
  };
}

/** The same bounds for whole numbers, which are within them themselves. */
export function closed({ low, high, openLow, openHigh }: Bounds): Bounds {
  const first = openLow ? Math.floor(low) + 1 : Math.ceil(low);
  const last = openHigh ? Math.ceil(high) - 1 : Math.floor(high);
  return { low: first, high: last, openLow: false, openHigh: false };
}

/** Whether no number is within the bounds. */
export function isEmpty({ low, high, openLow, openHigh }: Bounds): boolean {
  return low > high || (low === high && (openLow || openHigh));
}

/** The same bounds for numbers that we write; what lies beyond is left out. */
export function withinDigits({ low, high, openLow, openHigh }: Bounds): Bounds {
  return {
    low: Math.max(low, -LARGEST),
    high: Math.min(high, LARGEST),
    openLow: openLow && low >= -LARGEST,
    openHigh: openHigh && high <= LARGEST,
  };
}
