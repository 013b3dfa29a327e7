/** What a look at one thing showed. */
export interface Finding {
  /** What was looked at, e.g. "port". */
  readonly check: string;
  /** A problem keeps a mesh from starting or working; a warning may be meant so. */
  readonly level: 'ok' | 'warning' | 'problem';
  readonly what: string;
  /** What to do. */
  readonly fix?: string;
}

/** All is well. */
export function ok(check: string, what: string): Finding {
  return { check, level: 'ok', what };
}

/** It may be meant so. */
export function warning(check: string, what: string, fix: string): Finding {
  return { check, level: 'warning', what, fix };
}

/** It must be mended. */
export function problem(check: string, what: string, fix: string): Finding {
  return { check, level: 'problem', what, fix };
}
