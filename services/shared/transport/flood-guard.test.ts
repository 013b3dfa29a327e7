import { EventEmitter, once } from 'node:events';
import http2, { type ServerHttp2Session } from 'node:http2';
import net from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { createFloodGuard, type FloodGuard } from './flood-guard.ts';
import { eventually, startTestListener } from './listener.fixture.ts';

const PATIENCE_MS = 30_000;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const CONTINUATION = 9;
const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0, 0, '')]);

function frame(type: number, flags: number, stream: number, payload: Buffer | string): Buffer {
  const content = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(content.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, content]);
}

function literal(name: string, value: string): Buffer {
  const [bytes, content] = [Buffer.from(name), Buffer.from(value)];
  return Buffer.concat([Buffer.from([0, bytes.length]), bytes, Buffer.from([content.length]), content]);
}

/** GET over http of a path on "a". */
const REQUEST = Buffer.concat([Buffer.from([0x82, 0x86]), literal(':path', '/x'), literal(':authority', 'a')]);

function many(count: number, make: (index: number) => Buffer): Buffer {
  return Buffer.concat([PREFACE, ...Array.from({ length: count }, (_, index) => make(index))]);
}

const CANCEL = Buffer.from([0, 0, 0, 8]);
const OPENED_AND_RESET = (index: number): Buffer =>
  Buffer.concat([frame(HEADERS, 5, 2 * index + 1, REQUEST), frame(RST_STREAM, 0, 2 * index + 1, CANCEL)]);
const RAPID_RESET = many(20_000, OPENED_AND_RESET);
/** So few that Node, which takes a thousand, does nothing about them. */
const FEW_RESETS = many(400, OPENED_AND_RESET);

let reached = 0;
const { listener } = await startTestListener({
  fallback(request, response) {
    reached += 1;
    if (request.url !== '/wait') response.end('{}');
  },
});
afterAll(() => listener.close());

/** Sends bytes and collects what comes back until the server closes. */
function send(bytes: Buffer, localAddress: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = net.connect({ port: listener.port, host: '127.0.0.1', localAddress });
    const received: Buffer[] = [];
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(Buffer.concat(received)));
  });
}

function framesIn(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) types.push(bytes.readUInt8(at + 3));
  return types;
}

/** Sessions that fail as Node lets those fail that break the protocol: six are a flood, fewer a bad client. */
function floodFrom(guard: FloodGuard, remoteAddress: string, times = 6): void {
  for (let i = 0; i < times; i += 1) {
    const session = Object.assign(new EventEmitter(), { socket: { remoteAddress } });
    guard.watch(session as unknown as ServerHttp2Session);
    session.emit('error', Object.assign(new Error('flood'), { code: 'ERR_HTTP2_ERROR' }));
  }
}

test('an address that flooded connects once a second for a minute, however often it does', () => {
  let nowMs = 0;
  const guard = createFloodGuard({ isShared: () => false, onFlood: () => {}, nowMs: () => nowMs });
  floodFrom(guard, '192.0.2.2', 5);
  floodFrom(guard, '192.0.2.1');
  const letIn: number[] = [];
  for (; nowMs < 70_000; nowMs += 100) if (!guard.refuses('192.0.2.1')) letIn.push(nowMs);
  expect(letIn.slice(0, 2)).toEqual([1_000, 2_000]);
  expect(letIn.filter((atMs) => atMs < 60_000)).toHaveLength(59);
  expect(letIn.filter((atMs) => atMs >= 60_000)).toHaveLength(100);
  expect(guard.refuses('192.0.2.2')).toBe(false);
});

test('who floods through a proxy takes nobody else with him', async () => {
  const flooded: string[] = [];
  const guard = createFloodGuard({
    isShared: (address) => address === '127.0.0.1',
    onFlood: (address) => flooded.push(address),
    nowMs: () => 0,
  });
  floodFrom(guard, '127.0.0.1');
  expect([flooded, guard.refuses('127.0.0.1')]).toEqual([['127.0.0.1'], false]);

  const before = reached;
  expect(framesIn(await send(FEW_RESETS, '127.0.0.1'))).toContain(GOAWAY);
  expect(reached).toBeGreaterThan(before);
  for (let times = 0; times < 5; times += 1) expect(await isServed()).toBe(true);
});

const isServed = async () => (await fetch(`${listener.url}/x`)).status === 200;

// Elsewhere a machine has one loopback address only.
describe.runIf(process.platform === 'linux')('a client that opens and resets streams as fast as it can', () => {
  test('is ended, and connects once a second from then on; others are served', async () => {
    const attacker = '127.0.0.2';
    const before = reached;
    const startedAt = performance.now();
    let connections = 0;
    let letIn = 0;
    while (performance.now() - startedAt < 3_000) {
      connections += 1;
      if ((await send(RAPID_RESET, attacker)).length > 0) letIn += 1;
    }
    const elapsedS = (performance.now() - startedAt) / 1_000;
    expect(connections).toBeGreaterThan(letIn);
    // Some of them Node itself ends as broken, of which an address may make five.
    expect(letIn).toBeLessThanOrEqual(2 + 5 + elapsedS);
    // Of 20,000 streams a connection what one read has, and no more.
    expect(reached - before).toBeLessThan(letIn * 2_000);
    expect(await isServed()).toBe(true);
    // The address is not lost: as soon as its second is over it is served again.
    const again = () =>
      send(
        many(1, () => frame(GOAWAY, 0, 0, Buffer.alloc(8))),
        attacker,
      );
    await eventually(async () => framesIn(await again()).includes(SETTINGS), 'it is let in', PATIENCE_MS);
  });

  test('is told by GOAWAY, and before Node would', async () => {
    expect(framesIn(await send(FEW_RESETS, '127.0.0.3'))).toContain(GOAWAY);
  });

  test.each([
    ['CONTINUATION', many(1, () => frame(HEADERS, 0, 1, REQUEST)), frame(CONTINUATION, 0, 1, literal('a', 'b'))],
    ['SETTINGS', PREFACE, frame(SETTINGS, 0, 0, '')],
    ['PING', PREFACE, frame(PING, 0, 0, Buffer.alloc(8))],
    ['RST_STREAM of nothing', PREFACE, frame(RST_STREAM, 0, 1, CANCEL)],
  ])('so is one that floods with %s', async (name, first, repeated) => {
    const localAddress = `127.0.1.${name.length}`;
    const bytes = Buffer.concat([first, ...Array<Buffer>(50_000).fill(repeated)]);
    // One such connection is no flood: others behind the same address would pay for it.
    for (let i = 0; i < 5; i += 1) expect(framesIn(await send(bytes, localAddress))).toContain(SETTINGS);
    await eventually(async () => (await send(bytes, localAddress)).length === 0, 'it is refused', PATIENCE_MS);
    expect(await isServed()).toBe(true);
  });
});

test('who changes its mind about less than half is left alone', async () => {
  const session = http2.connect(listener.url);
  for (let round = 0; round < 3; round += 1) {
    const streams = Array.from({ length: 200 }, () => session.request({ ':path': '/x' }));
    await Promise.all(streams.map((stream) => stream.toArray()));
    const before = reached;
    const left = Array.from({ length: 100 }, () => session.request({ ':path': '/wait' }));
    await eventually(() => reached === before + 100, 'they are there', PATIENCE_MS);
    await Promise.all(
      left.map((stream) => {
        const closed = once(stream, 'close');
        stream.close(http2.constants.NGHTTP2_CANCEL);
        return closed;
      }),
    );
  }
  expect(session.destroyed).toBe(false);
  session.destroy();
});
