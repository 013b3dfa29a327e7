import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import type { HubSettings } from './hub-settings.ts';
import { PassingFailure } from './retry.ts';

/** The hub is there and does not have, or does not give, what was asked for. */
export class HubRefusal extends ConfigError {
  /** Whether it did not like the token that it was sent. */
  readonly refusesToken: boolean;

  constructor(message: string, refusesToken = false) {
    super(message);
    this.refusesToken = refusesToken;
  }
}

/** Statuses that a later attempt may not get. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429]);

/** What redirects that lead nowhere mean; `error` as `isUnfollowable` knows it, unset after too many of them. */
export function unfollowable(error: unknown, subject: string, { endpoint, kind }: HubSettings): ConfigError {
  const why = error instanceof Error ? ` (${error.message.split('.', 1)[0]})` : '';
  return new ConfigError(
    `${subject}: ${endpoint} redirects in a way that cannot be followed${why}; check ${kind === 'address' ? 'the address' : 'HF_ENDPOINT'}`,
    { cause: error },
  );
}

/**
 * What a status that is no success means to the person who started the mesh: a HubRefusal or another ConfigError that says
 * what to change, or a PassingFailure. `isHub`: the hub itself said it, not the content network that it sent us to.
 */
export function refusalOf(
  { status, headers }: { readonly status: number; readonly headers: Readonly<Record<string, unknown>> },
  isHub: boolean,
  subject: string,
  { endpoint, token, tokenName = 'HF_TOKEN', kind }: HubSettings,
): Error {
  const elsewhere = kind === 'address' ? 'the server that it redirects to' : 'the content network of the hub';
  const from = isHub ? endpoint : elsewhere;
  if (!isHub || status >= 500 || PASSING.has(status)) {
    const seconds = Number(headers['retry-after']);
    return new PassingFailure(`${from} answers ${status}`, { retryAfterMs: seconds > 0 ? seconds * 1_000 : 0 });
  }
  if (kind === 'address') return new HubRefusal(`${subject}: ${from} answers ${status}; check the address`);
  switch (status) {
    case 401:
    case 403:
      return token === undefined
        ? new HubRefusal(
            `${subject}: ${from} refuses (${status}): there is no such repository, or it is private or gated. Check the name; if it is gated, accept its terms on its page and set ${tokenName}`,
          )
        : new HubRefusal(
            `${subject}: ${from} refuses (${status}): ${tokenName} is not valid or may not read the repository. Check the name and the token, and accept the terms on the repository's page if it is gated`,
            true,
          );
    case 404:
      return new HubRefusal(`${subject}: ${from} has no such repository or file (404); check the name`);
    default:
      return new ConfigError(`${subject}: ${from} answers ${status}; check HF_ENDPOINT`);
  }
}
