import { PassThrough } from 'node:stream';
import { type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import { refusalOf, unfollowable } from './hub-errors.ts';
import { followingRedirects, isRedirect, isUnfollowable } from './hub-redirects.ts';
import type { HubSettings } from './hub-settings.ts';
import { PassingFailure } from './retry.ts';

/** How long a connection attempt, the first byte, or silence in the middle may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;
const SILENCE_TIMEOUT_MS = 30_000;

/** So many bytes may have arrived and not be written, in each transfer. */
const BUFFER_BYTES = 1024 * 1024;

/** An answer, and where it came from after all redirects. */
export interface HubAnswer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly origin: string;
  /** Its pieces; a connection that breaks is a PassingFailure. */
  bytes(): AsyncGenerator<Buffer>;
  /** Ends it with its body unread. */
  discard(): void;
}

/** Requests to one hub. They carry the token; where the hub redirects to, it goes only if that is the hub's own origin. */
export class HubConnection {
  readonly #settings: HubSettings;
  readonly #subject: string;
  readonly #agent: EnvHttpProxyAgent;
  readonly #dispatcher: Dispatcher;

  /**
   * `subject` is what messages begin with, e.g. "--model hf:user/repository".
   *
   * @throws ConfigError when the environment names a proxy that is none.
   */
  constructor(settings: HubSettings, subject: string) {
    this.#settings = settings;
    this.#subject = subject;
    this.#agent = proxyingAgent(subject);
    this.#dispatcher = followingRedirects(this.#agent, settings.endpoint);
  }

  /**
   * Asks for what lies at an address of the hub.
   *
   * @throws PassingFailure; ConfigError for a status that is none of `expected` and for redirects that lead nowhere.
   */
  async get(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    expected: readonly number[],
  ): Promise<HubAnswer> {
    const { token } = this.#settings;
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    let response: Dispatcher.ResponseData;
    try {
      response = await this.#dispatcher.request({
        method: 'GET',
        origin: url.origin,
        path: url.pathname + url.search,
        // A range counts bytes of the file, never of a compressed form.
        headers: { 'user-agent': 'inference-mesh', 'accept-encoding': 'identity', ...authorization, ...headers },
        signal,
      });
    } catch (error) {
      if (isUnfollowable(error)) throw unfollowable(error, this.#subject, this.#settings);
      throw unreachable(error, url.host);
    }
    const answer = answerOf(response, url);
    if (expected.includes(answer.status)) return answer;
    answer.discard();
    if (isRedirect(answer.status)) throw unfollowable(undefined, this.#subject, this.#settings);
    throw refusalOf(answer, answer.origin === url.origin, this.#subject, this.#settings);
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

function proxyingAgent(subject: string): EnvHttpProxyAgent {
  try {
    return new EnvHttpProxyAgent({
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: SILENCE_TIMEOUT_MS,
      bodyTimeout: SILENCE_TIMEOUT_MS,
    });
  } catch {
    // Without its cause, which quotes the address: that may hold a password.
    throw new ConfigError(
      `${subject}: HTTP_PROXY or HTTPS_PROXY is not the address of a proxy; expected http://host:port`,
    );
  }
}

function answerOf({ statusCode, headers, body, context }: Dispatcher.ResponseData, url: URL): HubAnswer {
  const last = (context as { history?: URL[] } | undefined)?.history?.at(-1) ?? url;
  // A stream that breaks drops what it holds; what has arrived is still good and would have to be sent again.
  const arrived = new PassThrough({ highWaterMark: BUFFER_BYTES });
  let broken: { readonly error: unknown } | undefined;
  body.on('error', (error) => {
    broken = { error };
    arrived.end();
  });
  body.pipe(arrived);
  return {
    status: statusCode,
    headers,
    origin: last.origin,
    async *bytes() {
      try {
        yield* arrived as AsyncIterable<Buffer>;
      } finally {
        body.destroy();
      }
      if (broken) throw unreachable(broken.error, last.host);
    },
    discard() {
      body.destroy();
    },
  };
}

function unreachable(error: unknown, host: string): PassingFailure {
  const { code, message } = error as { code?: string; message?: string };
  return new PassingFailure(`${host} cannot be reached or hangs up (${code ?? message})`, { cause: error });
}
