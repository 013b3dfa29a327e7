import { lookup as lookUp } from 'node:dns/promises';
import type { Logger } from 'pino';

/** All addresses of a host, of both families, in any order. Rejects where there is none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** What is followed. */
export interface FollowedName {
  readonly host: string;
  /** Called with what is new, which is never nothing at first, and with what is no longer there. */
  readonly onChange: (came: readonly string[], went: readonly string[]) => void;
  readonly log: Logger;
  /** Default: as the system does it, so that files of hosts and domains of search count. */
  readonly lookup?: Lookup;
  /** How often it is asked, in milliseconds; default 5,000. Until there is an answer once a second, if that is more often. */
  readonly everyMs?: number;
}

const EVERY_MS = 5_000;
const FIRST_EVERY_MS = 1_000;

const systemLookup: Lookup = async (host) => (await lookUp(host, { all: true })).map(({ address }) => address);

/**
 * Looks up a name again and again. A failure changes nothing: the last answer counts until there is another one.
 *
 * @returns what ends it
 */
export function followName({
  host,
  onChange,
  log,
  lookup = systemLookup,
  everyMs = EVERY_MS,
}: FollowedName): () => void {
  let known: ReadonlySet<string> = new Set();
  let hasFailed = false;
  let isEnded = false;
  let timer: NodeJS.Timeout | undefined;

  async function look(): Promise<void> {
    try {
      const found = new Set(await lookup(host));
      if (!isEnded && found.size > 0) take(found);
    } catch (error) {
      if (!hasFailed) log.warn({ host, err: error }, 'a name cannot be looked up; its last answer counts');
      hasFailed = true;
    }
    if (!isEnded) timer = setTimeout(look, known.size > 0 ? everyMs : Math.min(everyMs, FIRST_EVERY_MS));
  }

  function take(found: ReadonlySet<string>): void {
    hasFailed = false;
    const came = [...found].filter((address) => !known.has(address));
    const went = [...known].filter((address) => !found.has(address));
    known = found;
    if (came.length > 0 || went.length > 0) onChange(came, went);
  }

  void look();
  return () => {
    isEnded = true;
    clearTimeout(timer);
  };
}
