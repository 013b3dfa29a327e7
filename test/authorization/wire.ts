import { Agent, request as http1Request } from 'node:http';
import http2 from 'node:http2';
import { buffer } from 'node:stream/consumers';

/** Name and value, as they stand on the wire: in this letter case, and as often as they are listed. */
export type Header = readonly [string, string];

/** A request as it leaves. */
export interface RawRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: readonly Header[];
  readonly body?: Buffer | undefined;
}

/** What came back. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Ways to a server that change nothing of what they are given. */
export interface Wire {
  readonly http1: (request: RawRequest) => Promise<RawAnswer>;
  readonly http2: (request: RawRequest) => Promise<RawAnswer>;
  close(): void;
}

/** Opens a wire to, e.g., "http://127.0.0.1:43117". */
export function openWire(url: string): Wire {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const session = http2.connect(url);
  // Every request that is under way is told as well.
  session.on('error', () => {});
  return {
    http1: (request) => overHttp1(url, agent, request),
    http2: (request) => overHttp2(session, url, request),
    close() {
      agent.destroy();
      session.close();
    },
  };
}

function overHttp1(url: string, agent: Agent, { method, path, headers, body }: RawRequest): Promise<RawAnswer> {
  const { hostname, port, host } = new URL(url);
  const length: Header[] = method === 'GET' || method === 'HEAD' ? [] : [['content-length', String(body?.length ?? 0)]];
  return new Promise((resolve, reject) => {
    const all = [['host', host] as const, ...headers, ...length].flat();
    const request = http1Request({ hostname, port, agent, method, path, headers: all });
    request.on('error', reject);
    request.on('response', (response) => {
      const { statusCode: status = 0, headers: given } = response;
      buffer(response).then((bytes) => resolve({ status, headers: plain(given), body: bytes }), reject);
    });
    request.end(body);
  });
}

function overHttp2(session: http2.ClientHttp2Session, url: string, request: RawRequest): Promise<RawAnswer> {
  const { method, path, headers, body } = request;
  const pseudo = { ':method': method, ':path': path, ':scheme': 'http', ':authority': new URL(url).host };
  return new Promise((resolve, reject) => {
    const stream = session.request([...Object.entries(pseudo), ...headers].flat(), { endStream: false });
    stream.on('error', reject);
    stream.on('response', (given) => {
      const answer = { status: Number(given[':status']), headers: plain(given) };
      const trailers: Record<string, string> = {};
      stream.on('trailers', (late) => Object.assign(trailers, plain(late)));
      buffer(stream).then(
        (bytes) => resolve({ ...answer, headers: { ...answer.headers, ...trailers }, body: bytes }),
        reject,
      );
    });
    stream.end(body);
  });
}

function plain(headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
