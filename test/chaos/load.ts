import { setTimeout as delay } from 'node:timers/promises';
import { createGrpcTransport } from '@connectrpc/connect-node';
import type { LoadKey } from './cluster.ts';
import { sendGrpc } from './grpc-client.ts';
import type { ClientRecord } from './history.ts';
import { planOf } from './plan.ts';
import { sendRest } from './rest-client.ts';

/** What the load is. */
export interface LoadOptions {
  readonly urls: readonly string[];
  readonly keys: readonly LoadKey[];
  /** How many requests are sent in all. */
  readonly requests: number;
  /** How many are under way at a time. */
  readonly atOnce: number;
  readonly random: () => number;
}

/** How long a client waits for an answer before it leaves, in milliseconds. */
const PATIENCE_MS = 45_000;

/** Pause of a client between two of its requests at most, in milliseconds, and after one of which nothing came. */
const REST_MS = { usual: 100, afterNothing: 1_500 };

/** Sends all of it, over all protocols, to all gateways, with all keys. */
export async function runLoad({ urls, keys, requests, atOnce, random }: LoadOptions): Promise<ClientRecord[]> {
  const transports = urls.map((baseUrl) => createGrpcTransport({ baseUrl }));
  const records: ClientRecord[] = [];
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent < requests) {
      const plan = planOf(sent, random);
      const gateway = Math.floor(random() * urls.length);
      const key = keys[Math.floor(random() * keys.length)];
      sent += 1;
      const controller = new AbortController();
      const patience = setTimeout(() => controller.abort(), PATIENCE_MS);
      const sentAtMs = Date.now();
      const sending = { url: urls[gateway] ?? '', secret: key?.secret ?? '', plan, controller };
      const transport = transports[gateway];
      const ending = plan.protocol === 'grpc' && transport ? sendGrpc(transport, sending) : sendRest(sending);
      const record = { requestId: plan.requestId, gateway, sentAtMs, ...(await ending) };
      records.push(record);
      clearTimeout(patience);
      await delay(random() * (record.deliveredTokens > 0 ? REST_MS.usual : REST_MS.afterNothing));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return records;
}
