import type { ClientRecord } from './history.ts';
import type { RequestPlan } from './plan.ts';

const TOO_MANY_REQUESTS = 429;

/** How a request ended for its client. */
export type Ending = Pick<ClientRecord, 'outcome' | 'deliveredTokens'>;

/** What a client needs to send a request. */
export interface Sending {
  readonly url: string;
  readonly secret: string;
  readonly plan: RequestPlan;
  /** Aborted when the client leaves, or has waited too long. */
  readonly controller: AbortController;
}

/** A chat over REST: as an event stream or as one answer. */
export async function sendRest(sending: Sending): Promise<Ending> {
  const { url, secret, plan, controller } = sending;
  let answer: Response;
  try {
    answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      signal: controller.signal,
      headers: {
        ...{ 'x-api-key': secret, 'content-type': 'application/json' },
        ...{ 'x-request-id': plan.requestId, 'x-forwarded-for': plan.address },
      },
      body: JSON.stringify({
        model: 'chaos',
        messages: [{ role: 'user', content: JSON.stringify(plan.engine) }],
        max_tokens: plan.maxTokens,
        stream: plan.protocol === 'sse',
      }),
    });
  } catch {
    return { outcome: controller.signal.aborted ? 'fled' : 'broken', deliveredTokens: 0 };
  }
  const text = new Text(sending);
  try {
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) text.add(part);
  } catch {
    return text.cut();
  }
  if (answer.ok) return text.ended();
  // What was made for one whole answer that could not be given is charged, though nothing of it arrives.
  const isRefused = plan.protocol === 'sse' || answer.status === TOO_MANY_REQUESTS;
  return { outcome: isRefused ? 'refused' : 'broken', deliveredTokens: 0 };
}

/** What of an answer has arrived. */
class Text {
  readonly #sending: Sending;
  #text = '';

  constructor(sending: Sending) {
    this.#sending = sending;
  }

  add(part: string): void {
    const { plan, controller } = this.#sending;
    this.#text += part;
    if (plan.leaveAt !== undefined && this.#tokens >= plan.leaveAt) controller.abort();
  }

  cut(): Ending {
    const { plan } = this.#sending;
    const deliveredTokens = this.#tokens;
    if (!this.#sending.controller.signal.aborted) return { outcome: 'broken', deliveredTokens };
    return { outcome: deliveredTokens === plan.engine.waitAt ? 'left' : 'fled', deliveredTokens };
  }

  ended(): Ending {
    const deliveredTokens = this.#tokens;
    const reason = /"finish_reason":\s*"(\w+)"/.exec(this.#text)?.[1];
    const isWhole = this.#sending.plan.protocol === 'json' || this.#text.includes('data: [DONE]');
    if (!isWhole || reason === undefined) return { outcome: 'broken', deliveredTokens };
    return { outcome: reason === 'length' ? 'exhausted' : 'whole', deliveredTokens };
  }

  /** The engine numbers its tokens. */
  get #tokens(): number {
    return Number(/.* t(\d+)(?=[^\d])/s.exec(this.#text)?.[1] ?? 0);
  }
}
