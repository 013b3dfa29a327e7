import type { Logger } from 'pino';
import type { Device } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import type { MemoryEstimate, ModelUse } from './vram-estimate.ts';
import type { VramLedger } from './vram-ledger.ts';
import type { PlanStep } from './would-fit.ts';

/** Devices that one start of an engine may use, until they are released. */
export interface Booking {
  readonly engine: string;
  /** The `MESH_ENGINE_MARK` of the start that it is for, by which other meshes find its processes. */
  readonly mark: string;
  /** CUDA indices in PCI bus order. Empty: it runs on the CPU. */
  readonly devices: readonly number[];
  /** Bytes by the driver's name of each device. */
  readonly bytes: ReadonlyMap<string, number>;
}

/** Looks for processes of a start that cannot be ended, and says in words what is left. Undefined: nothing is. */
export type FindLeft = () => Promise<string | undefined>;

/** What an earlier run has left of an engine that cannot be ended. */
export interface LeftEngine {
  readonly engine: string;
  readonly mark: string;
  /** Bytes that it had booked, by the driver's name of each device. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly findLeft: FindLeft;
}

/** A device in a placement decision. */
export interface PlacementCandidate {
  readonly device: Device;
  readonly chosen: boolean;
  /** The reason in words, with the numbers. */
  readonly why: string;
  /** What neither a booking nor a process outside of the bookings takes. */
  readonly freeBytes: number;
  /** What would be booked of it. 0: unknown. */
  readonly claimBytes: number;
}

/** No room: nothing is booked. */
export interface PlacementRefusal {
  readonly refused: true;
  /** One line for an operator: what was asked for, why each device was not taken, what to change. */
  readonly why: string;
  /** Every device, the best first. */
  readonly candidates: readonly PlacementCandidate[];
}

/** A decision that is not carried out. */
export interface PlacementExplanation {
  /** Whether there is a place, be it the CPU. */
  readonly fits: boolean;
  /** The decision in one line. */
  readonly why: string;
  /** Every device, the chosen first. */
  readonly candidates: readonly PlacementCandidate[];
}

/** Something that happened to a device without us. */
export interface DeviceChange {
  readonly kind: 'gone' | 'appeared' | 'foreign-process' | 'unreadable' | 'readable';
  /** The driver's name of the device. Empty: all of them. */
  readonly uuid: string;
  /** What happened, in words. */
  readonly what: string;
  /** The engines with a booking on it. */
  readonly engines: readonly string[];
}

/** Who may use how much of which CUDA device of this node. */
export interface DeviceBook {
  /** Reads the devices and goes on watching them. Without it every other method works, on demand. */
  start(): void;
  /**
   * Books the devices for a demand, after a fresh look at them and at what other meshes of this host claim. Of meshes that
   * book at the same moment never two get what only one can have.
   *
   * @returns the booking (on no device where the demand falls back to the CPU), or why there is none.
   */
  book(engine: string, demand: DeviceDemand): Promise<Booking | PlacementRefusal>;
  /** Gives back a booking of which no process was started. Does nothing the second time. */
  release(booking: Booking): void;
  /**
   * Gives back the booking of a start that has ended. Its devices are free when the driver reports its memory back (as before
   * it was booked, up to 5 % of it) and `findLeft` finds nothing; the book sees to that, also after this has resolved.
   *
   * @returns undefined when they are free; else, after `limitMs` milliseconds, why they are not, in words.
   */
  giveBack(booking: Booking, limitMs: number, findLeft: FindLeft): Promise<string | undefined>;
  /** The engine of a booking has loaded: what it takes from now on is remembered. Never rejects. */
  loaded(booking: Booking): Promise<void>;
  /** The engine of a booking has fallen asleep: only what it still holds stays booked, and others may come. */
  rest(booking: Booking): Promise<void>;
  /**
   * Books again all that a resting booking had, on the same devices.
   *
   * @returns why not, in words; then it goes on resting. Undefined: it has its devices.
   */
  restore(booking: Booking): Promise<string | undefined>;
  /** Blocks the devices of what an earlier run has left until it is gone. */
  block(left: LeftEngine): Promise<void>;
  /** The marks of the starts that are booked or not quite gone. */
  readonly marks: readonly string[];
  /** Calls `listener` after every release, here or by another mesh of this host, until the returned function is called. */
  onRelease(listener: () => void): () => void;
  /** Calls `listener` with what the watcher notices until the returned function is called. */
  onChange(listener: (change: DeviceChange) => void): () => void;
  /** Reads the devices anew. Never rejects: what cannot be read is told by `problem`. */
  refresh(): Promise<void>;
  /** Why the devices cannot be read, in words. Unset: they can, or there are none. */
  readonly problem: string | undefined;
  /** The devices as last read; the CPU when there is none. */
  devices(): readonly Device[];
  /** What `book` would decide now, from the last reading, for an engine that may have a booking already. */
  explain(demand: DeviceDemand, engine?: string): PlacementExplanation;
  /** Whether at each step of a plan who comes would get a place, from the last reading. */
  fits(plan: readonly PlanStep[]): boolean;
  /**
   * Estimates what a model needs, from its files in the places that the mesh's environment names.
   *
   * @returns undefined when the files are not on this machine: the size is unknown.
   * @throws ModelFilesError when they are there and cannot be read.
   */
  estimate(use: ModelUse): Promise<MemoryEstimate | undefined>;
  /** Ends the watching. What is not free by then stays claimed, for other meshes, as long as this process lives. */
  close(): Promise<void>;
}

/** What a device book needs from outside. */
export interface DeviceBookOptions {
  /** What engines may compute on: all that is visible, nothing, or these indices. */
  readonly devices: 'auto' | 'none' | readonly number[];
  /** Reads one variable of the environment of the mesh. */
  readonly environmentVariable: (name: string) => string | undefined;
  /** The mark of every process of our engines, their children included, by its id; asked after every answer of the driver. */
  readonly ownProcesses: () => ReadonlyMap<number, string> | Promise<ReadonlyMap<number, string>>;
  /** Where what engines take is remembered. Unset: nowhere. */
  readonly vramLedger?: VramLedger;
  readonly log: Logger;
  /** Time between two looks of the watcher, in milliseconds. Default 10,000. */
  readonly pollMs?: number;
  /**
   * How long memory that nobody is named for must stay as it is, in milliseconds, to be others' and no longer an ended
   * engine's. Default 60,000.
   */
  readonly steadyMs?: number;
}
