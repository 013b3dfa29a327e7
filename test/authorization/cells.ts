import type { CredentialForm } from './credential-forms.ts';
import type { Header, RawAnswer, RawRequest, Wire } from './wire.ts';

/** One cell of a matrix: what is sent, and what must come of it. */
export interface Cell {
  readonly name: string;
  readonly isHttp1: boolean;
  readonly request: RawRequest;
  readonly expected: string;
  /** Undefined: the machine was too busy to decide. */
  readonly outcome: (answer: RawAnswer) => string | undefined;
}

/** Requests that are under way at a time; Node's server takes 64 streams of a connection. */
const AT_A_TIME = 24;

/** How often a cell that was not decided is sent. */
const ATTEMPTS = 20;

let addresses = 0;

/** The headers of a form, and where it comes from: one that names no address gets one of its own. */
export function headersOf({ headers, address }: CredentialForm): Header[] {
  addresses += 1;
  const own = `10.${(addresses >> 16) & 255}.${(addresses >> 8) & 255}.${addresses & 255}`;
  return [...headers, ['x-forwarded-for', address ?? own]];
}

/** Sends every cell and tells those that came out otherwise, e.g. "Login, two people: ADMITTED instead of …". */
export async function surprises(wire: Wire, cells: readonly Cell[]): Promise<string[]> {
  const found: string[] = [];
  const waiting = [...cells].values();
  async function work(): Promise<void> {
    for (const cell of waiting) {
      const outcome = await settle(wire, cell);
      if (outcome !== cell.expected) found.push(`${cell.name}: ${outcome} instead of ${cell.expected}`);
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return found.sort();
}

async function settle(wire: Wire, { request, isHttp1, outcome }: Cell): Promise<string> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const decided = outcome(await (isHttp1 ? wire.http1 : wire.http2)(request));
    if (decided !== undefined) return decided;
  }
  return 'never decided';
}
