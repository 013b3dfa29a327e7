import type { GenerateRequest } from '../../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { TrunkCommand, TrunkEvents } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { RouterService } from '../../../../gen/mesh/router/v1/router_service_pb.ts';
import type { MeshError } from '../../errors/mesh-error.ts';
import { NumberedRoster } from '../../lifecycle/numbered-roster.ts';
import type { GenerationCall, GenerationSink } from '../generate.ts';
import { type EncodedCommand, encodeCommand } from './command-codec.ts';
import { openLoadedChannel } from './loaded-channel.ts';
import type { TrunkChannel, TrunkTarget } from './trunk-channel.ts';
import { nodeLost, routerLost } from './trunk-failure.ts';
import { TrunkGeneration } from './trunk-generation.ts';
import { CREDIT_BYTES, MESSAGE_BYTES } from './trunk-limits.ts';
import { TurnBatch } from './turn-batch.ts';

/** What becomes of a connection. */
export interface ConnectionListener {
  /** It came up. */
  onOpen(): void;
  /** Nothing more can be asked on it; what runs goes on. */
  onRetired(): void;
  /** It is over; what ran has failed. */
  onOver(error: MeshError): void;
}

const LAST_ID = 2 ** 32 - 1;

/** One trunk on the side that asks, with everything that runs on it. */
export class TrunkConnection {
  readonly #running = new NumberedRoster<TrunkGeneration>();
  readonly #listener: ConnectionListener;
  readonly #channel: TrunkChannel;
  readonly #commands = new TurnBatch<EncodedCommand>((commands) => this.#send(commands));
  readonly #brokenOff: (cause: MeshError) => MeshError;
  #lastId = 0;
  #isRetired = false;

  constructor(target: TrunkTarget, listener: ConnectionListener) {
    this.#listener = listener;
    this.#brokenOff = target.method.parent === RouterService ? routerLost : nodeLost;
    this.#channel = openLoadedChannel(target, {
      onOpen: () => listener.onOpen(),
      onEvents: (events) => this.#take(events),
      onOver: (error) => this.#over(error),
    });
  }

  /**
   * Starts a generation.
   *
   * @throws MeshError MESSAGE_TOO_LARGE
   */
  start(request: GenerateRequest, headers: Record<string, string>, call: GenerationCall, sink: GenerationSink): void {
    const generationId = this.#lastId + 1;
    const { requestId, timeoutMs } = call;
    const start = encodeCommand(generationId, {
      case: 'start',
      value: {
        $typeName: 'mesh.generation.v1.TrunkStart',
        request,
        requestId,
        // The other side's own limit is shorter than what does not fit.
        timeoutMs: timeoutMs === undefined ? 0 : Math.min(LAST_ID, Math.max(1, Math.round(timeoutMs))),
        headers,
        creditBytes: CREDIT_BYTES,
      },
    });
    this.#lastId = generationId;
    const generation = new TrunkGeneration(call, sink, {
      command: (command: TrunkCommand['command']) => this.#commands.add(encodeCommand(generationId, command)),
      onOver: () => this.#forget(generationId),
      brokenOff: this.#brokenOff,
    });
    this.#running.add(generationId, generation);
    this.#commands.add(start);
    if (generationId === LAST_ID) this.#retire();
  }

  /** Ends the trunk and what runs on it. */
  close(): void {
    this.#channel.close();
  }

  #take({ events, draining }: TrunkEvents): void {
    for (const { generationId, news } of events) this.#running.get(generationId)?.take(news);
    if (draining) this.#retire();
  }

  #retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#listener.onRetired();
    this.#endWhenIdle();
  }

  #forget(generationId: number): void {
    this.#running.remove(generationId);
    this.#endWhenIdle();
  }

  /** The last command, a cancel, may still wait for the end of the turn. */
  #endWhenIdle(): void {
    if (this.#isRetired && this.#running.size === 0) setImmediate(() => this.#channel.end());
  }

  #over(error: MeshError): void {
    this.#isRetired = true;
    this.#listener.onOver(error);
    for (const generation of this.#running) generation.lose(error);
  }

  #send(commands: EncodedCommand[]): void {
    let message: EncodedCommand[] = [];
    let bytes = 0;
    for (const command of commands) {
      if (message.length > 0 && bytes + command.length > MESSAGE_BYTES) {
        this.#channel.send(message);
        message = [];
        bytes = 0;
      }
      message.push(command);
      bytes += command.length;
    }
    this.#channel.send(message);
  }
}
