import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { FakeEngine } from '../engines/fake-engine.ts';
import { type Ledger, type LedgerStore, readLedger } from '../harness/ledger.ts';
import { eventually } from '../harness/processes.ts';

/** Where a mesh takes requests, and who may do all there. */
export interface PublicPort {
  readonly url: string;
  readonly adminKey: string;
}

/** A key that pays for requests. */
export interface Payer {
  readonly id: string;
  readonly secret: string;
}

const adminOf = ({ adminKey }: PublicPort) => ({ headers: { authorization: `Bearer ${adminKey}` } });

/** Makes a key of a tier. */
export async function newPayer(mesh: PublicPort, tier = 'standard'): Promise<Payer> {
  const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url }));
  const { apiKey, secret } = await auth.createApiKey({ tier }, adminOf(mesh));
  return { id: apiKey?.keyId ?? '', secret };
}

/** The body of a conversation of one word. */
export const chatBody = (body: object): string =>
  JSON.stringify({ model: 'twin', messages: [{ role: 'user', content: 'hi' }], stream: true, ...body });

/** Asks for a stream, over REST. */
export function chat(
  { url }: PublicPort,
  { secret }: Pick<Payer, 'secret'>,
  body: object = {},
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-api-key': secret, 'content-type': 'application/json', ...headers },
    body: chatBody(body),
  });
}

/** The text of an event stream. */
export function textOf(stream: string): string {
  const events = [...stream.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json ?? ''));
  return events.map(({ choices }) => choices?.[0]?.delta?.content ?? '').join('');
}

/** What the fake engines say, by their tokens. */
export const tokenTexts = (tokens: number): string => Array.from({ length: tokens }, (_, at) => ` t${at}`).join('');

/** Whether a stream broke as it should: an error, and nothing that says that it is whole. */
export const isBroken = (stream: string): boolean =>
  /data: \{"error":/.test(stream) && !stream.includes('[DONE]') && !/"finish_reason":"/.test(stream);

/** The engine that has the one request. */
export const busyOf = (engines: readonly FakeEngine[]): Promise<FakeEngine> =>
  eventually('an engine has the request', async () => {
    for (const engine of engines) if ((await engine.counts()).running === 1) return engine;
    return undefined;
  });

/** The states of all engines, as the router knows them. */
export async function engineStates(mesh: PublicPort): Promise<EngineState[]> {
  const inference = createClient(InferenceService, createGrpcTransport({ baseUrl: mesh.url }));
  const { engines } = await inference.listEngines({}, adminOf(mesh));
  return engines.flatMap(({ engine }) => (engine ? [engine.state] : []));
}

/** How many requests hold a reservation: those that run, and those that wait. */
export async function heldReservations(mesh: PublicPort): Promise<number> {
  const quota = createClient(QuotaService, createGrpcTransport({ baseUrl: mesh.url }));
  return (await quota.listReservations({ pageSize: 1_000 }, adminOf(mesh))).reservations.length;
}

/** What a key was charged when nothing of it runs any more. */
export const settled = (mesh: LedgerStore, payer: Payer): Promise<Ledger> =>
  eventually('everything is settled', async () => {
    const ledger = await readLedger(mesh, payer.id);
    return ledger.held === 0 ? ledger : undefined;
  });
