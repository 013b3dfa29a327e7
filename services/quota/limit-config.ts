import { z } from 'zod';
import {
  bucketLimit,
  CONCURRENT_UNITS,
  COUNTED_UNITS,
  type ConcurrentUnit,
  type CountedUnit,
  concurrencyLimit,
  hiddenLimit,
  type LimitDefinition,
  largestMaximum,
  MAX_BUCKET,
  PERIODS,
  type Period,
  periodLimit,
  type Window,
} from './limit-definition.ts';

/** A token bucket: it holds `burst` and refills evenly by `per_minute`. */
export interface BucketField {
  readonly per_minute: number;
  readonly burst: number;
}

/** The limits of one scope as the file writes them, e.g. `{ requests_per_minute: 30, concurrent_requests: 4 }`. Unset: no such limit. */
export type LimitFields = {
  readonly [Field in `${CountedUnit}_per_${Period}` | ConcurrentUnit]?: number | undefined;
} & { readonly [Field in `${CountedUnit}_bucket`]?: BucketField | undefined };

type Field = readonly [name: keyof LimitFields, define: (value: number & BucketField) => LimitDefinition];

/** The fields of the file, in the order in which refusals name their limits. */
const FIELDS: ReadonlyMap<Field[0], Field[1]> = new Map([
  ...COUNTED_UNITS.flatMap((unit): Field[] => [
    ...PERIODS.map((period): Field => [`${unit}_per_${period}`, (maximum) => periodLimit(unit, period, maximum)]),
    [`${unit}_bucket`, (bucket) => bucketLimit(unit, bucket.per_minute, bucket.burst)],
  ]),
  ...CONCURRENT_UNITS.map((unit): Field => [unit, (maximum) => concurrencyLimit(unit, maximum)]),
]);

const bucketSchema = z.strictObject({
  per_minute: z.number().int().min(1).max(MAX_BUCKET),
  burst: z.number().int().min(1).max(MAX_BUCKET),
});

/** Limits of one scope; 0 forbids all. */
export const limitFieldsSchema = z
  .strictObject(
    Object.fromEntries(
      [...FIELDS.keys()].map((field) => [
        field,
        (field.endsWith('_bucket') ? bucketSchema : maximumSchema(field)).optional(),
      ]),
    ),
  )
  .superRefine((fields, context) => {
    const found = hiddenLimit(definitionsOf(fields));
    if (!found) return;
    const path = [`${found.hidden.unit}_per_${found.hidden.window}`];
    const message = `is never reached, because ${found.by.unit}_per_${found.by.window} is lower`;
    context.addIssue({ code: 'custom', path, message });
  }) as unknown as z.ZodType<LimitFields, LimitFields>;

/** The limits that fields stand for, in the order in which refusals name them. */
export function definitionsOf(fields: LimitFields): LimitDefinition[] {
  const definitions: LimitDefinition[] = [];
  for (const [field, define] of FIELDS) {
    const value = fields[field];
    if (value !== undefined) definitions.push(define(value as number & BucketField));
  }
  return definitions;
}

function maximumSchema(field: string): z.ZodNumber {
  const window = (/_per_(\w+)$/.exec(field)?.[1] ?? 'none') as Window;
  return z.number().int().min(0).max(largestMaximum(window));
}
