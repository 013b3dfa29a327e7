/** A Hugging Face hub on two ports, one of them its content network, that breaks as it is told to. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT = 'c0ffee'.padEnd(40, '0');

/** What the hub does to the next requests for bytes. */
export interface HubScript {
  /** Cut the connection after so many bytes of an answer; one number per answer, then no more. */
  cutAfterBytes: number[];
  /** Stop sending after so many bytes of an answer and leave the connection open. */
  stallAfterBytes: number | undefined;
  /** How many answers have a wrong byte. */
  corruptAnswers: number;
  /** Whether Range is honoured. */
  ranges: boolean;
  /** Sent as ETag, and compared with If-Range. Unset: none. */
  etag: string | undefined;
  /** Whether If-Range is looked at. */
  comparesTags: boolean;
  /** A partial answer begins so many bytes too early. */
  rangeShiftBytes: number;
  /** Every request to the hub itself gets this status, so many times. */
  refusals: { status: number; times: number; headers?: Record<string, string> };
  /** The same for the content network. */
  contentRefusals: { status: number; times: number };
}

/** A request that arrived. */
export interface HubRequest {
  readonly server: 'hub' | 'content';
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

export interface FakeHub {
  /** For HF_ENDPOINT. */
  readonly endpoint: string;
  readonly script: HubScript;
  readonly requests: HubRequest[];
  /** Requests for bytes. */
  transfers(): HubRequest[];
  /** How many bytes of files were sent. */
  sentBytes(): number;
  /** Files in the repository "user/model". What the list says of them may be changed by `listed`. */
  readonly files: Map<string, Buffer>;
  readonly listed: Map<string, { size?: number; sha256?: string }>;
  stop(): Promise<void>;
}

/** Starts a hub with the repository "user/model", also under the path prefix "/mirror". */
export async function startFakeHub(files: Record<string, Buffer>, pageSize = 1_000): Promise<FakeHub> {
  const script: HubScript = {
    cutAfterBytes: [],
    stallAfterBytes: undefined,
    corruptAnswers: 0,
    ranges: true,
    etag: '"one"',
    comparesTags: true,
    rangeShiftBytes: 0,
    refusals: { status: 0, times: 0 },
    contentRefusals: { status: 0, times: 0 },
  };
  const requests: HubRequest[] = [];
  const stored = new Map(Object.entries(files));
  const listed: FakeHub['listed'] = new Map();
  let sentBytes = 0;

  const note = (server: HubRequest['server'], request: IncomingMessage): void => {
    const { authorization, range, 'if-range': ifRange } = request.headers;
    requests.push({ server, path: request.url ?? '', authorization, range, ifRange: ifRange?.toString() });
  };

  const hub = createServer((request, response) => {
    note('hub', request);
    if (script.refusals.times-- > 0) {
      response.writeHead(script.refusals.status, script.refusals.headers).end('no');
      return;
    }
    const url = new URL(request.url ?? '', 'http://hub');
    const path = url.pathname.replace(/^\/mirror/, '');
    if (path === '/api/models/user/model/revision/main') {
      response.end(JSON.stringify({ id: 'user/model', sha: COMMIT }));
    } else if (path === `/api/models/user/model/tree/${COMMIT}`) {
      sendPage(response, url, [...stored]);
    } else if (path.startsWith(`/user/model/resolve/${COMMIT}/`)) {
      const file = path.slice(`/user/model/resolve/${COMMIT}/`.length);
      response.writeHead(302, { location: `${addressOf(content)}/blobs/${file}?signature=x` }).end();
    } else {
      response.writeHead(404).end('{"error":"Repository not found"}');
    }
  });

  function sendPage(response: ServerResponse, url: URL, all: [string, Buffer][]): void {
    const first = Number(url.searchParams.get('cursor') ?? 0);
    const page = all.slice(first, first + pageSize).map(([path, bytes]) => {
      const told = listed.get(path);
      const oid = told?.sha256 ?? createHash('sha256').update(bytes).digest('hex');
      const size = told?.size ?? bytes.length;
      return { type: 'file', path, size, oid: '1'.repeat(40), lfs: { oid, size, pointerSize: 130 } };
    });
    if (first + pageSize < all.length) {
      url.searchParams.set('cursor', String(first + pageSize));
      response.setHeader('link', `<${addressOf(hub)}${url.pathname}${url.search}>; rel="next"`);
    }
    const others = [
      { type: 'directory', path: 'folder', size: 0, oid: '2'.repeat(40) },
      { type: 'file', path: 'README.md', size: 5, oid: '3'.repeat(40) },
    ];
    response.end(JSON.stringify([...others, ...page]));
  }

  const content = createServer((request, response) => {
    note('content', request);
    if (script.contentRefusals.times-- > 0) {
      response.writeHead(script.contentRefusals.status).end('no');
      return;
    }
    const path = decodeURIComponent(new URL(request.url ?? '', 'http://cdn').pathname.slice('/blobs/'.length));
    const bytes = stored.get(path);
    if (!bytes) response.writeHead(404).end();
    else void sendBytes(request, response, bytes);
  });

  async function sendBytes(request: IncomingMessage, response: ServerResponse, bytes: Buffer): Promise<void> {
    const asked = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
    const ifRange = request.headers['if-range'];
    const isPartial =
      script.ranges &&
      !Number.isNaN(asked) &&
      (!script.comparesTags || ifRange === undefined || ifRange === script.etag);
    const first = isPartial ? asked - script.rangeShiftBytes : 0;
    if (first >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    const body = Buffer.from(bytes.subarray(first));
    if (script.corruptAnswers-- > 0) body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 0xff;
    response.writeHead(isPartial ? 206 : 200, {
      'content-length': body.length,
      ...(script.etag === undefined ? {} : { etag: script.etag }),
      ...(isPartial ? { 'content-range': `bytes ${first}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    const cut = script.cutAfterBytes.shift();
    const limit = Math.min(cut ?? body.length, script.stallAfterBytes ?? body.length);
    if (limit >= body.length) {
      sentBytes += body.length;
      response.end(body);
      return;
    }
    sentBytes += limit;
    // What is written must have left before the connection is cut.
    await new Promise((resolve) => response.write(body.subarray(0, limit), resolve));
    if (cut === limit) response.socket?.end();
  }

  await Promise.all([listen(hub), listen(content)]);
  return {
    endpoint: addressOf(hub),
    script,
    requests,
    transfers: () => requests.filter(({ server }) => server === 'content'),
    sentBytes: () => sentBytes,
    files: stored,
    listed,
    async stop() {
      await Promise.all(
        [hub, content].map(async (server) => {
          server.close();
          server.closeAllConnections();
          await once(server, 'close');
        }),
      );
    },
  };
}

async function listen(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
