import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from './processes.ts';

/** How much of an early answer is shown, in characters. */
const SHOWN_CHARACTERS = 2_000;

/** How long the body of an early answer is waited for. */
const BODY_MS = 1_000;

/** What the mesh answers when Redis took longer than the 200 ms that it is given, as on a loaded machine it may. */
const STORE_IS_LATE = /The store does not answer\. Try again/;

/**
 * Waits as `eventually`, for something that must hold before any of these requests is answered or these bodies ended: one that
 * comes early fails the test at once and shows what came.
 */
export async function eventuallyBefore<T>(
  early: Readonly<Record<string, Promise<Response | string>>>,
  what: string,
  condition: () => Promise<T> | T,
): Promise<NonNullable<T>> {
  const endings = Object.entries(early).map(async ([name, ending]) => {
    const came = await ending;
    const shown = typeof came === 'string' ? came : `${came.status} ${await beginOf(came)}`;
    throw new Error(`${name} was over before this held: ${what}: ${shown.slice(-SHOWN_CHARACTERS)}`);
  });
  return await Promise.race([eventually(what, condition), ...endings]);
}

/** What has come of a body, which may be a stream without an end. The answer can still be read. */
async function beginOf(answer: Response): Promise<string> {
  const first = answer.clone().body?.getReader().read();
  const part = await Promise.race([first, delay(BODY_MS)]);
  return part?.value ? Buffer.from(part.value).toString() : '(no body yet)';
}

/** Sends, and sends again what the store was too late for, as its answer asks. */
export async function sendUntilStored(send: () => Promise<Response>): Promise<Response> {
  for (;;) {
    const answer = await send();
    if (answer.status !== 503 || !STORE_IS_LATE.test(await answer.clone().text())) return answer;
  }
}
