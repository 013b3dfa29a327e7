import {
  type ClientRecord,
  type EngineRecord,
  type History,
  type LeaseFigures,
  type Outage,
  requestOf,
  type StoreStep,
} from './history.ts';

/** How long a gateway that goes on may take to settle what expired meanwhile, in milliseconds; a busy machine is slow. */
const LATE_MS = 10_000;

/** What is known of one request. */
interface Case {
  readonly lease: StoreStep;
  readonly client: ClientRecord;
  readonly made: EngineRecord;
  /** What its gateway went through while the lease lived. */
  readonly outages: ReadonlySet<Outage['kind']>;
}

/**
 * Whether leases ended at what the engines counted. A lease whose owner lived: exactly, where the client saw the end or the
 * engine waited for it to leave; between what arrived and what was made, where it left in the midst of the stream. A lease
 * whose owner was killed: at its last report, between nothing and what was made. Never is more delivered than covered, never
 * anything without a lease.
 */
export function exactness(history: History, last: ReadonlyMap<string, StoreStep>): string[] {
  const engines = new Map(history.engines.map((record) => [record.requestId, record]));
  const leases = Map.groupBy(last.values(), ({ leaseId }) => requestOf(leaseId));
  const problems: string[] = [];
  const clients = new Map(history.clients.map((record) => [record.requestId, record]));
  for (const requestId of new Set([...clients.keys(), ...leases.keys(), ...engines.keys()])) {
    const client = clients.get(requestId);
    const made = engines.get(requestId) ?? {
      requestId,
      promptTokens: 0,
      madeTokens: 0,
      isComplete: false,
      tellsTokens: false,
    };
    const taken = (leases.get(requestId) ?? []).filter(({ figures }) => figures.state !== 'released');
    const [lease, ...others] = taken.sort((a, b) => b.figures.completionTokens - a.figures.completionTokens);
    const problem = !client
      ? 'nobody sent it'
      : lease
        ? leaseProblem({ lease, client, made, outages: outagesOf(history, client, lease) })
        : unleasedProblem(client, made);
    if (problem !== undefined) problems.push(`exact: ${requestId} (${client?.outcome}): ${problem}`);
    if (others.some(({ figures }) => figures.completionTokens > 0)) problems.push(`exact: ${requestId}: paid twice`);
  }
  return problems;
}

/** It was never admitted, or given back. */
function unleasedProblem({ deliveredTokens }: ClientRecord, { madeTokens }: EngineRecord): string | undefined {
  return madeTokens > 0 || deliveredTokens > 0
    ? `${madeTokens} tokens were made and ${deliveredTokens} delivered without a lease`
    : undefined;
}

function leaseProblem(known: Case): string | undefined {
  const { lease, client, made, outages } = known;
  const { figures } = lease;
  if (client.deliveredTokens > figures.coveredTokens) {
    return `${client.deliveredTokens} tokens were delivered, ${figures.coveredTokens} covered`;
  }
  if (figures.completionTokens > made.madeTokens) {
    return `${figures.completionTokens} tokens are charged, the engine made ${made.madeTokens}`;
  }
  if (figures.completionTokens > 0 && figures.promptTokens !== made.promptTokens) {
    return `a prompt of ${figures.promptTokens} is charged, the engine counted ${made.promptTokens}`;
  }
  if (figures.state === 'settled') return settledProblem(known);
  if (figures.state !== 'expired' || outages.has('killed')) return undefined;
  if (isUndoneTooLate(figures, made)) return undefined;
  return `its owner lived, and it was never settled (the engine made ${made.madeTokens})`;
}

/**
 * The reply to a reservation was lost, and the store was out of reach until the lease had expired: nothing was used, but the
 * request stays counted.
 */
export function isUndoneTooLate(figures: LeaseFigures, made: EngineRecord | undefined): boolean {
  const isUnused = figures.promptTokens === undefined && figures.completionTokens === 0;
  return figures.state === 'expired' && isUnused && (made?.madeTokens ?? 0) === 0;
}

function settledProblem({ lease, client, made, outages }: Case): string | undefined {
  const { completionTokens, coveredTokens } = lease.figures;
  const { outcome, deliveredTokens } = client;
  const { madeTokens, isComplete, tellsTokens } = made;
  const charged = `${completionTokens} tokens are charged, ${deliveredTokens} arrived, the engine made ${madeTokens}`;
  const isExact = completionTokens === madeTokens && isComplete;
  switch (outcome) {
    case 'whole':
      return isExact && completionTokens === deliveredTokens ? undefined : charged;
    case 'exhausted':
      return completionTokens === deliveredTokens && (completionTokens === coveredTokens || !tellsTokens)
        ? undefined
        : `${charged}, ${coveredTokens} were covered`;
    case 'left':
      return isExact ? undefined : charged;
    case 'refused':
      // A stopped gateway finds its lease ended when it goes on, and what the engine sent meanwhile is thrown away.
      return completionTokens === 0 && (madeTokens === 0 || outages.has('stopped')) ? undefined : charged;
    case 'fled':
    case 'broken':
      return completionTokens >= deliveredTokens ? undefined : charged;
  }
}

function outagesOf({ outages }: History, client: ClientRecord, lease: StoreStep): ReadonlySet<Outage['kind']> {
  const during = (toMs: number): Outage[] =>
    outages.filter(
      (outage) => outage.gateway === client.gateway && outage.fromMs <= toMs && outage.toMs >= client.sentAtMs,
    );
  const stopped = during(lease.atMs);
  // One that goes on after its leases expired, and is killed before it could settle them late, was killed all the same.
  const settledByMs = Math.max(lease.atMs, ...stopped.map(({ toMs }) => toMs + LATE_MS));
  return new Set([...stopped, ...during(settledByMs)].map(({ kind }) => kind));
}
