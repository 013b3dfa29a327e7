import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type LeaseExtension,
  type LeaseProgressSchema,
  LeaseStanding,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';

/** A lease as it was reserved. */
export interface Reserved {
  readonly reservationId: string;
  /** The prompt, exact or an upper bound. */
  readonly promptTokens: number;
  readonly maxCompletionTokens: number;
  /** How many completion tokens may be delivered before more is asked for. */
  readonly coveredTokens: number;
  /** How long it lives without a report, in milliseconds. */
  readonly holdMs: number;
}

/** Between two reports of a generation that needs nothing, in milliseconds. */
export const REPORT_EVERY_MS = 1_000;

/** How long a lease lives without a report unless the configuration says otherwise, in milliseconds. */
export const DEFAULT_HOLD_MS = 60_000;

/** So often one that has no news is reported while its lease lives: often enough to live through lost reports. */
export const RENEWALS_PER_HOLD = 4;

type Progress = MessageInitShape<typeof LeaseProgressSchema>;

/** How far a generation has drawn its lease down, when that is told to quota, and when more is asked for. */
export class DrawDown {
  readonly reserved: Reserved;
  /** The exact length of the prompt, once the engine told it. */
  promptTokens: number | undefined;
  /** What was delivered. */
  completionTokens = 0;
  /** Nobody reports on it any more: what quota still answers is about a lease that has ended. */
  isOver = false;
  #onAnswer: (isFinal: boolean) => void = () => {};
  #onLost: (error: MeshError) => void = () => {};
  #coveredTokens: number;
  /** How many tokens must be covered for the generation to go on; 0: it does not wait. */
  #neededTokens = 0;
  #neededSinceMs = 0;
  #isUnderWay = false;
  #askedTokens = 0;
  #askedForNeeded = 0;
  #isScarce = false;
  #toldTokens = 0;
  #toldPrompt: number | undefined;
  #reportedAtMs: number;
  #notBeforeMs = 0;

  constructor(reserved: Reserved, nowMs: number) {
    this.reserved = reserved;
    this.#coveredTokens = reserved.coveredTokens;
    this.#reportedAtMs = nowMs;
  }

  /** `onAnswer` is called when quota answered while tokens wait for it; `isFinal` when it had been asked for all of them. */
  whenAnswered(onAnswer: (isFinal: boolean) => void): void {
    this.#onAnswer = onAnswer;
  }

  /** `onLost` is called when the generation must stop. */
  whenLost(onLost: (error: MeshError) => void): void {
    this.#onLost = onLost;
  }

  /** How many completion tokens may be delivered in all. */
  get coveredTokens(): number {
    return this.#coveredTokens;
  }

  /** Whether more may be had than is covered, as far as the request goes. */
  get mayGrow(): boolean {
    return this.#coveredTokens < this.reserved.maxCompletionTokens;
  }

  /** The generation waits until `tokens` are covered; see whenAnswered. */
  need(tokens: number, nowMs: number): void {
    if (this.#neededTokens === 0) this.#neededSinceMs = nowMs;
    this.#neededTokens = Math.min(tokens, this.reserved.maxCompletionTokens);
  }

  /** It waits no longer. */
  goOn(): void {
    this.#neededTokens = 0;
  }

  /** Whether a report should be sent now. */
  isDue(nowMs: number): boolean {
    if (this.#isUnderWay || nowMs < this.#notBeforeMs) return false;
    const ageMs = nowMs - this.#reportedAtMs;
    const isOld = ageMs >= this.reserved.holdMs / RENEWALS_PER_HOLD;
    if (this.#neededTokens > 0 || this.promptTokens !== this.#toldPrompt || isOld) return true;
    if (ageMs < REPORT_EVERY_MS) return !this.#isScarce && this.#wantedTokens() > 0;
    return this.completionTokens !== this.#toldTokens || this.#wantedTokens() > 0;
  }

  /** The report; `answered` or `missed` follows. */
  report(nowMs: number): Progress {
    this.#isUnderWay = true;
    this.#reportedAtMs = nowMs;
    this.#toldTokens = this.completionTokens;
    this.#toldPrompt = this.promptTokens;
    this.#askedForNeeded = this.#neededTokens;
    this.#askedTokens = this.#wantedTokens();
    return {
      reservationId: this.reserved.reservationId,
      completionTokens: this.completionTokens,
      wantedCompletionTokens: this.#askedTokens,
      ...(this.promptTokens === undefined ? {} : { promptTokens: this.promptTokens }),
    };
  }

  /** What quota answered. */
  answered(extension: LeaseExtension): void {
    this.#isUnderWay = false;
    if (extension.standing !== LeaseStanding.HELD) {
      this.#onLost(leaseEnded());
      return;
    }
    this.#coveredTokens = Math.max(this.#coveredTokens, extension.coveredCompletionTokens);
    this.#isScarce = this.#coveredTokens < this.#askedTokens;
    const needed = this.#neededTokens;
    if (needed > 0) this.#onAnswer(this.#askedForNeeded >= needed);
  }

  /** Quota did not answer: what is covered stays covered. */
  missed(nowMs: number): void {
    this.#isUnderWay = false;
    this.#notBeforeMs = nowMs + REPORT_EVERY_MS;
    // Whether it was told is not known.
    this.#toldTokens = -1;
    this.#toldPrompt = undefined;
    // It stands at its bound for as long as its lease lives.
    if (this.#neededTokens > 0 && nowMs - this.#neededSinceMs >= this.reserved.holdMs) this.#onLost(quotaAway());
  }

  /** How many tokens the lease should cover in all; 0: no more than it does. */
  #wantedTokens(): number {
    if (!this.mayGrow) return 0;
    const window = this.reserved.coveredTokens;
    const isEnough = this.#coveredTokens - this.completionTokens >= window / 2;
    if (this.#neededTokens === 0 && isEnough) return 0;
    const wanted = Math.max(this.#neededTokens, this.completionTokens + Math.max(1, window));
    return Math.min(this.reserved.maxCompletionTokens, wanted);
  }
}

function leaseEnded(): MeshError {
  return new MeshError(
    'STORE_UNAVAILABLE',
    'The token lease of this request ended before the request did. Send it again.',
    {
      retryAfterMs: REPORT_EVERY_MS,
    },
  );
}

function quotaAway(): MeshError {
  return new MeshError('STORE_UNAVAILABLE', 'More tokens could not be asked for: limits cannot be checked now.', {
    retryAfterMs: REPORT_EVERY_MS,
  });
}
