import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Registry } from '../fleet/registry.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import { modelNotLoaded, noHealthyEngine } from '../generate/admission.ts';
import type { Chooser } from '../select/chooser.ts';
import type { RouteFeatures } from '../select/features.ts';
import { areUnloaded } from '../select/select.ts';
import { isPinnedElsewhere } from '../select/verdict.ts';
import { BusyEngines } from './busy-engines.ts';
import type { QueueConfig } from './config.ts';
import { FairLine, type InLine } from './fair-line.ts';
import { heldBytes } from './held-bytes.ts';

/** Who wants a place on an engine. */
export interface Wanting {
  readonly principal: Pick<Principal, 'organizationId' | 'tier'>;
  readonly features: RouteFeatures;
  /** The model, by its id. */
  readonly modelId: string;
  /** The engines that may be taken, as they are known now. Undefined: the model is no longer known. */
  readonly route: () => ModelRoute | undefined;
  /** Which of them are out of question, e.g. tried before. */
  readonly excluded?: (candidate: Candidate) => boolean;
  /** The name of the engines that are taken before others. */
  readonly preferred?: string;
  /** Whether it had its turn before and goes ahead of all who wait, e.g. because its engine died. */
  readonly isAhead?: boolean;
  /** What is kept in memory meanwhile. */
  readonly request: object;
  /** Ends the waiting; its reason is a MeshError. */
  readonly signal: AbortSignal;
}

/** A place on an engine. */
export interface Place {
  readonly candidate: Candidate;
  /** The underlying model. */
  readonly modelId: string;
  /** How long it was waited for, in milliseconds; 0: not at all. */
  readonly waitedMs: number;
  /** Frees it; calling that again does nothing. */
  readonly leave: () => void;
}

/** What places are given away by. */
export interface PlacesParts {
  readonly registry: Pick<Registry, 'snapshot' | 'changes'>;
  readonly chooser: Chooser;
  readonly queue: QueueConfig;
}

interface Waiter extends InLine {
  readonly wanting: Wanting;
  readonly granted: (place: Place) => void;
  readonly failed: (error: MeshError) => void;
}

/** How long whoever finds the queue full should wait, in milliseconds. */
const RETRY_AFTER_MS = 2_000;

/** Gives the places of engines to requests: at once while there are free ones, else in turn. */
export class Places {
  readonly #parts: PlacesParts;
  readonly #lines = new Map<string, FairLine<Waiter>>();
  readonly #busy = new BusyEngines(() => this.look());
  #isFollowing = false;

  constructor(parts: PlacesParts) {
    this.#parts = parts;
    parts.chooser.loads.onRoom = () => this.look();
  }

  /** How many wait, for all models. */
  get waiting(): number {
    let count = 0;
    for (const { size } of this.#lines.values()) count += size;
    return count;
  }

  /** How many wait for a model. */
  waitingFor(modelId: string): number {
    return this.#lines.get(modelId)?.size ?? 0;
  }

  /** Whether somebody waits for a model, so that who comes new waits too. */
  isWaitedFor(modelId: string): boolean {
    return this.#lines.has(modelId);
  }

  /** What `take` would refuse with at once. */
  refusalOf(wanting: Wanting): MeshError | undefined {
    const found = this.#find(wanting, nobodys);
    if (found instanceof MeshError) return found;
    const line = this.#lines.get(wanting.modelId);
    if (found && !line) return undefined;
    if ((line ?? this.#newLine()).leaversFor(this.#standing(wanting))) return undefined;
    return this.#find(wanting, wantedBy(line ?? [])) ? undefined : queueFull(wanting.modelId);
  }

  /**
   * A place for a request, at once or when its turn comes. Who gets one and does not want it any more leaves it.
   *
   * @throws MeshError QUEUE_FULL, also later, when others had to get in; NO_HEALTHY_ENGINE or MODEL_NOT_LOADED, also when the last
   * of the engines goes meanwhile; the signal's reason.
   */
  async take(wanting: Wanting): Promise<Place> {
    wanting.signal.throwIfAborted();
    const { modelId } = wanting;
    const found = this.#find(wanting, nobodys);
    if (found instanceof MeshError) throw found;
    if (found && !this.#lines.has(modelId)) return this.#place(found, wanting, 0);
    return await this.#wait(wanting);
  }

  /**
   * An engine for what needs no place, full or not.
   *
   * @throws MeshError NO_HEALTHY_ENGINE, MODEL_NOT_LOADED.
   */
  beside(wanting: Wanting): Place {
    const best = this.#best(wanting);
    if (best instanceof MeshError) throw best;
    return { candidate: best, modelId: wanting.modelId, waitedMs: 0, leave: () => {} };
  }

  /** An engine has refused a request because it is busy: others have filled it. It counts as full for a moment. */
  isBusy({ id }: Candidate): void {
    this.#busy.add(id);
  }

  /** Looks whose turn has come. */
  look(): void {
    for (const [modelId, line] of this.#lines) this.#serve(modelId, line);
  }

  #wait(wanting: Wanting): Promise<Place> {
    const { modelId, signal } = wanting;
    const line = this.#lines.get(modelId) ?? this.#newLine();
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const leave = (): void => this.#dismiss(waiter, line, signal.reason);
    const unlisten = (): void => signal.removeEventListener('abort', leave);
    const waiter: Waiter = {
      ...this.#standing(wanting),
      wanting,
      granted(place) {
        unlisten();
        resolve(place);
      },
      failed(error) {
        unlisten();
        reject(error);
      },
    };
    signal.addEventListener('abort', leave, { once: true });
    this.#lines.set(modelId, line);
    line.add(waiter);
    // Those before it may wait for engines that it does not need; then it does not wait at all.
    this.#serve(modelId, line);
    if (line.has(waiter)) this.#keepBounds(waiter, line);
    this.#follow();
    return promise;
  }

  /** Somebody has to go, and be it the newcomer. */
  #keepBounds(newcomer: Waiter, line: FairLine<Waiter>): void {
    const error = queueFull(newcomer.wanting.modelId);
    line.remove(newcomer, false);
    const leavers = line.leaversFor(newcomer);
    line.add(newcomer);
    for (const leaver of leavers ?? [newcomer]) this.#dismiss(leaver, line, error);
  }

  /** Gives free places to those whose turn it is. Nobody gets one that somebody before him might have. */
  #serve(modelId: string, line: FairLine<Waiter>): void {
    const passed = new Set<Waiter>();
    const isTaken = wantedBy(passed);
    const nowMs = performance.now();
    while (this.#hasPlace(modelId, isTaken)) {
      const next = line.next(nowMs, passed);
      if (!next) break;
      const { wanting } = next;
      const found = this.#find(wanting, isTaken);
      if (found instanceof MeshError) {
        this.#dismiss(next, line, found);
      } else if (found) {
        line.remove(next, true);
        next.granted(this.#place(found, wanting, nowMs - next.sinceMs));
      } else {
        passed.add(next);
      }
    }
    this.#dropIfEmpty(modelId, line);
  }

  /** Whether an engine may have room that nobody before wants. */
  #hasPlace(modelId: string, isTaken: (candidate: Candidate) => boolean): boolean {
    const route = this.#parts.registry.snapshot.route(modelId);
    const isOpen = (candidate: Candidate): boolean => !this.#busy.has(candidate.id) && !isTaken(candidate);
    const { free } = this.#parts.chooser;
    return route !== undefined && (free(route.ready).some(isOpen) || free(route.coming).some(isOpen));
  }

  /** Those for whom no engine is left need not wait. */
  #dismissHopeless(line: FairLine<Waiter>): void {
    for (const waiter of [...line]) {
      const best = this.#best(waiter.wanting);
      if (best instanceof MeshError) this.#dismiss(waiter, line, best);
    }
  }

  #dropIfEmpty(modelId: string, line: FairLine<Waiter>): void {
    if (line.size === 0 && this.#lines.get(modelId) === line) this.#lines.delete(modelId);
  }

  /** The engine for a request; undefined: it has to wait; an error: there is none to wait for. */
  #find(wanting: Wanting, isWanted: (candidate: Candidate) => boolean): Candidate | MeshError | undefined {
    const { features, preferred, excluded = () => false } = wanting;
    const { chooser } = this.#parts;
    const best = this.#best(wanting);
    if (best instanceof MeshError) return best;
    const route = wanting.route();
    if (!route) return noHealthyEngine(wanting.modelId);
    const isTaken = (candidate: Candidate): boolean => isWanted(candidate) || this.#busy.has(candidate.id);
    if (preferred !== undefined) {
      const isOther = (candidate: Candidate): boolean => candidate.engine.name !== preferred || excluded(candidate);
      const choice = chooser.choose(route, features, isOther, isTaken);
      if (choice) return choice.candidate;
    }
    return chooser.choose(route, features, excluded, isTaken)?.candidate;
  }

  /** An engine that takes requests, full or not; an error: none does. */
  #best({ route: find, features, modelId, excluded }: Wanting): Candidate | MeshError {
    const route = find();
    const best = route && this.#parts.chooser.oneToWaitFor(route, features, excluded);
    if (best) return best;
    const isUnloaded = route !== undefined && areUnloaded(route.candidates, features.pinned);
    return isUnloaded ? modelNotLoaded(modelId) : noHealthyEngine(modelId);
  }

  #place(candidate: Candidate, { modelId, features }: Wanting, waitedMs: number): Place {
    return { candidate, modelId, waitedMs, leave: this.#parts.chooser.take(candidate, modelId, features) };
  }

  #dismiss(waiter: Waiter, line: FairLine<Waiter>, error: MeshError): void {
    const { modelId } = waiter.wanting;
    line.remove(waiter, false);
    this.#dropIfEmpty(modelId, line);
    waiter.failed(error);
  }

  #standing({ principal, features, request, isAhead }: Wanting): InLine {
    const { organizationId, tier } = principal;
    return {
      organization: organizationId,
      priority: isAhead ? Number.POSITIVE_INFINITY : (this.#parts.queue.tier_priorities[tier] ?? 0),
      tokens: features.tokens,
      bytes: heldBytes(request),
      sinceMs: performance.now(),
    };
  }

  #newLine(): FairLine<Waiter> {
    const { max_waiting: most, max_waiting_mib: mostMib, ageing_seconds: ageing } = this.#parts.queue;
    return new FairLine({ most, mostBytes: mostMib * 2 ** 20, ageingMs: ageing * 1_000 });
  }

  /** Looks at every change of the fleet while somebody waits. */
  #follow(): void {
    if (this.#isFollowing || this.#lines.size === 0) return;
    this.#isFollowing = true;
    void this.#parts.registry.changes
      .until(() => {
        for (const line of this.#lines.values()) this.#dismissHopeless(line);
        this.look();
        return this.#lines.size === 0;
      })
      .then(() => {
        this.#isFollowing = false;
        // Somebody may have come meanwhile.
        this.#follow();
      });
  }
}

const nobodys = (): boolean => false;

/** Which engines those in line wait for. */
function wantedBy(waiters: Iterable<Waiter>): (candidate: Candidate) => boolean {
  return (candidate) => {
    for (const { wanting } of waiters) if (isWantedBy(candidate, wanting)) return true;
    return false;
  };
}

function isWantedBy(candidate: Candidate, { route, features: { pinned }, excluded = nobodys }: Wanting): boolean {
  return route()?.byId.has(candidate.id) === true && !isPinnedElsewhere(candidate, pinned) && !excluded(candidate);
}

function queueFull(model: string): MeshError {
  return new MeshError('QUEUE_FULL', 'Too many requests wait for this model. Try again shortly.', {
    metadata: { model },
    retryAfterMs: RETRY_AFTER_MS,
  });
}
