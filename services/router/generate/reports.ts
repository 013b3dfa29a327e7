import { type Duration, durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { Roster } from '../../shared/lifecycle/roster.ts';
import { DEFAULT_HOLD_MS, type DrawDown } from './draw-down.ts';

/** How often it is looked which generations have something to report, in milliseconds. */
const LOOK_EVERY_MS = 250;

/** The most leases of one call, as the contract has it. */
const MOST_PER_CALL = 1_000;

/** How long quota has to answer, in milliseconds; its store gives up long before. */
const CALL_OPTIONS = { timeoutMs: 2_000 };

/** Tells quota how far all running generations are, many in one call, and asks it for more tokens. */
export class Reports {
  readonly #quota: Pick<Client<typeof QuotaService>, 'extend'>;
  readonly #log: Logger;
  readonly #holdFor: Duration;
  readonly #running = new Roster<DrawDown>();
  #timer: NodeJS.Timeout | undefined;
  #urged: NodeJS.Immediate | undefined;
  #isAway = false;

  constructor(quota: Pick<Client<typeof QuotaService>, 'extend'>, log: Logger, holdMs: number = DEFAULT_HOLD_MS) {
    this.#quota = quota;
    this.#log = log;
    this.#holdFor = durationFromMs(holdMs);
  }

  /** How many leases are reported on. */
  get leases(): number {
    return this.#running.size;
  }

  /** Reports on a generation until the returned function is called. */
  add(drawDown: DrawDown): () => void {
    const leave = this.#running.add(drawDown);
    this.#timer ??= setInterval(() => this.#lookRegularly(), LOOK_EVERY_MS).unref();
    return () => {
      drawDown.isOver = true;
      leave();
    };
  }

  /** A generation waits: does not wait for the next look, only for the others of this turn. */
  urge(): void {
    this.#urged ??= setImmediate(() => {
      this.#urged = undefined;
      this.#look();
    });
  }

  /** Stops when nobody is there: a request that is alone neither starts it nor stops it. */
  #lookRegularly(): void {
    if (this.#running.size > 0) {
      this.#look();
      return;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const nowMs = performance.now();
    let due: DrawDown[] = [];
    for (const drawDown of this.#running) {
      if (!drawDown.isDue(nowMs)) continue;
      due.push(drawDown);
      if (due.length < MOST_PER_CALL) continue;
      void this.#send(due, nowMs);
      due = [];
    }
    if (due.length > 0) void this.#send(due, nowMs);
  }

  async #send(due: readonly DrawDown[], nowMs: number): Promise<void> {
    const leases = due.map((drawDown) => drawDown.report(nowMs));
    try {
      const answer = await this.#quota.extend({ leases, holdFor: this.#holdFor }, CALL_OPTIONS);
      this.#heard();
      for (const [i, drawDown] of due.entries()) {
        const extension = answer.leases[i];
        if (drawDown.isOver) continue;
        if (extension) drawDown.answered(extension);
        else drawDown.missed(performance.now());
      }
    } catch (error) {
      this.#unheard(error);
      const missedAtMs = performance.now();
      for (const drawDown of due) if (!drawDown.isOver) drawDown.missed(missedAtMs);
    }
  }

  #heard(): void {
    if (this.#isAway) this.#log.info('quota answers again: running generations are reported');
    this.#isAway = false;
  }

  #unheard(error: unknown): void {
    if (!this.#isAway) {
      this.#log.warn({ err: error }, 'quota does not answer: running generations go on within what they have reserved');
    }
    this.#isAway = true;
  }
}
