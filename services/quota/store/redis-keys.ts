/**
 * All keys of quota. One hash tag keeps them on one node of a cluster, because one decision may touch any of them. The number
 * is the version of what they hold: another version is never misread, only not seen.
 */
const QUOTA_KEYS = 'mesh:quota:2:{quota}:';

/** Leases that are held, by their expiry. */
export const HELD_KEY = `${QUOTA_KEYS}held`;

/** Leases that are held, as "taken at:id" in the order of these texts. */
export const TAKEN_KEY = `${QUOTA_KEYS}taken`;

/** What was set for subjects at run time, by subject. */
export const SUBJECTS_KEY = `${QUOTA_KEYS}subjects`;

/** How often that changed. */
export const VERSION_KEY = `${QUOTA_KEYS}subjects-version`;

/** Days of the usage ledger. */
export const DAYS_KEY = `${QUOTA_KEYS}days`;

/** The rows of a day of the usage ledger, in the order of their texts; see ledgerRow. */
export const ROWS_PREFIX = `${QUOTA_KEYS}rows:`;

/** The figures of a day by row: "requests prompt-tokens completion-tokens". */
export const USAGE_PREFIX = `${QUOTA_KEYS}usage:`;

/** A lease, by its id. */
export const LEASE_PREFIX = `${QUOTA_KEYS}lease:`;

/** A counter, by its name. */
export const COUNTER_PREFIX = `${QUOTA_KEYS}counter:`;
