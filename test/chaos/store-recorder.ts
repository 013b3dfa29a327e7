import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { COUNTER_PREFIX, HELD_KEY, USAGE_PREFIX } from '../../services/quota/store/redis-keys.ts';
import { eventually } from '../harness/processes.ts';
import type { Bill, History } from './history.ts';
import { heldIn } from './lease-record.ts';
import { MonitorLog } from './monitor-log.ts';

/** How much of the end of what was written down is looked at, in characters. */
const TAIL = 4_096;

/** What the store says of itself. */
export type StoreHistory = Pick<History, 'steps' | 'heldAtEnd' | 'leasesAtEnd' | 'bills'>;

/** Writes down everything that a Redis server does, into `file`; read when it is over, so that it costs the run little. */
export class StoreRecorder {
  readonly #url: string;
  readonly #file: string;
  readonly #ended: Promise<unknown>;
  readonly #end: () => void;
  #tail = '';

  constructor(url: string, file: string) {
    this.#url = url;
    this.#file = file;
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write('MONITOR\r\n'));
    const lines = socket.pipe(createWriteStream(file));
    socket.on('data', (part: Buffer) => {
      this.#tail = (this.#tail + part.toString('latin1')).slice(-TAIL);
    });
    this.#ended = once(lines, 'finish');
    this.#end = () => socket.end();
  }

  /** How many leases are held. */
  held(): Promise<number> {
    return this.#asked((redis) => redis.zcard(HELD_KEY));
  }

  /** Ends it and reads what was written down, and how the store stands. */
  async stop(): Promise<StoreHistory> {
    const { heldAtEnd, leasesAtEnd, bills } = await this.#asked(async (redis) => {
      return {
        heldAtEnd: await heldNow(redis),
        leasesAtEnd: await redis.zcard(HELD_KEY),
        bills: await billsNow(redis),
      };
    });
    // What is still on its way would be lost with the connection.
    const last = randomUUID();
    await this.#asked((redis) => redis.echo(last));
    await eventually('MONITOR has told everything', () => this.#tail.includes(last));
    this.#end();
    await this.#ended;
    const log = new MonitorLog();
    for await (const line of createInterface({ input: createReadStream(this.#file, 'latin1') })) log.line(line);
    return { steps: log.steps, heldAtEnd, leasesAtEnd, bills };
  }

  async #asked<T>(ask: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(this.#url);
    try {
      return await ask(redis);
    } finally {
      redis.disconnect();
    }
  }
}

async function heldNow(redis: Redis): Promise<Map<string, number>> {
  const held = new Map<string, number>();
  for (const key of await redis.keys(`${COUNTER_PREFIX}*`)) {
    const kept = await redis.getBuffer(key);
    if (kept && heldIn(kept) !== 0) held.set(key.slice(COUNTER_PREFIX.length), heldIn(kept));
  }
  return held;
}

async function billsNow(redis: Redis): Promise<Map<string, Bill>> {
  const bills = new Map<string, Bill>();
  for (const day of await redis.keys(`${USAGE_PREFIX}*`)) {
    for (const [row, figures] of Object.entries(await redis.hgetall(day))) {
      const [, , keyId = ''] = JSON.parse(row) as string[];
      const [requests = 0, promptTokens = 0, completionTokens = 0] = figures.split(' ').map(Number);
      const bill = bills.get(keyId) ?? { requests: 0, promptTokens: 0, completionTokens: 0 };
      bills.set(keyId, {
        requests: bill.requests + requests,
        promptTokens: bill.promptTokens + promptTokens,
        completionTokens: bill.completionTokens + completionTokens,
      });
    }
  }
  return bills;
}
