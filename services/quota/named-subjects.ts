import type { QuotaConfig } from './config.ts';

/** A subject that the configuration names. */
export interface NamedSubject {
  readonly scope: 'organization' | 'user' | 'key' | 'model' | 'engine';
  readonly subject: string;
  /** The field, e.g. ["quota", "users", "ann"]. */
  readonly path: readonly string[];
}

/** The subjects whose limits the configuration sets; one that does not exist is a limit that matches nothing. */
export function namedSubjects(config: QuotaConfig): NamedSubject[] {
  const of = (scope: NamedSubject['scope'], section: 'organizations' | 'users' | 'keys' | 'models' | 'engines') =>
    Object.keys(config[section]).map((subject) => ({ scope, subject, path: ['quota', section, subject] }));
  return [
    ...of('organization', 'organizations'),
    ...of('user', 'users'),
    ...of('key', 'keys'),
    ...of('model', 'models'),
    ...of('engine', 'engines'),
  ];
}
