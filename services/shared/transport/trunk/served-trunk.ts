import type { TrunkCommand, TrunkCommands, TrunkStart } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { asMeshError, toConnectError } from '../../errors/connect-error.ts';
import { invalidField, MeshError, shuttingDown } from '../../errors/mesh-error.ts';
import type { Vouching } from '../../interceptors/on-behalf-of.ts';
import { NumberedRoster } from '../../lifecycle/numbered-roster.ts';
import type { Generate } from '../generate.ts';
import { forWhom } from './call-headers.ts';
import { EventStream } from './event-stream.ts';
import { ServedGeneration } from './served-generation.ts';

/** What a trunk is served with. */
export interface ServedTrunkOptions {
  readonly generate: Generate;
  /** Verifies whom the other side acts for. Unset: it acts for nobody. */
  readonly vouching?: Pick<Vouching, 'verify'> | undefined;
  /** Told whenever something runs again, and when nothing runs any more. */
  readonly onWork: (isWork: boolean) => void;
}

/** The side of a trunk that answers: carries out commands, and tells what becomes of the generations. */
export class ServedTrunk {
  /** What goes to the other side. */
  readonly events = new EventStream();
  readonly #options: ServedTrunkOptions;
  readonly #running = new NumberedRoster<ServedGeneration>();
  /** Nothing more can be asked. */
  #isClosed = false;
  #isDraining = false;

  constructor(options: ServedTrunkOptions) {
    this.#options = options;
  }

  /** Carries out what the other side sends until it sends nothing more; then what runs goes on to its end. */
  async read(messages: AsyncIterable<TrunkCommands>): Promise<void> {
    try {
      for await (const { commands } of messages) for (const command of commands) this.#take(command);
      this.#isClosed = true;
      if (this.#running.size === 0) this.events.end();
    } catch (error) {
      this.abort(asMeshError(error));
    }
  }

  /** Starts nothing more; what runs goes on. */
  drain(): void {
    this.#isDraining = true;
    this.events.tellDraining();
  }

  /** Ends what runs, down to the engines, and the trunk. */
  abort(reason: MeshError): void {
    for (const generation of this.#running) generation.abort(reason);
    this.events.end(toConnectError(reason));
  }

  #take({ generationId, command }: TrunkCommand): void {
    switch (command.case) {
      case 'start':
        this.#start(generationId, command.value);
        break;
      case 'credit':
        this.#running.get(generationId)?.addCredit(command.value.bytes);
        break;
      case 'cancel':
        this.#running.get(generationId)?.leave(new MeshError('CLIENT_GONE', 'The caller cancelled.'));
        break;
    }
  }

  #start(generationId: number, start: TrunkStart): void {
    if (this.#running.get(generationId)) throw invalidField('generation_id', 'runs already on this trunk');
    const { generate, vouching, onWork } = this.#options;
    const answering = {
      tell: (news: Parameters<typeof this.events.push>[0]['news'], bytes: number) =>
        this.events.push({ $typeName: 'mesh.generation.v1.TrunkEvent', generationId, news }, bytes),
      onOver: () => this.#over(generationId),
    };
    const { who, refusal } = this.#whom(start, vouching);
    const generation = new ServedGeneration(start, who, answering);
    this.#running.add(generationId, generation);
    if (this.#running.size === 1) onWork(true);
    if (refusal) generation.fail(refusal);
    else if (!start.request) generation.fail(invalidField('start.request', 'is missing'));
    else generate(start.request, generation.call, generation);
  }

  #whom({ headers }: TrunkStart, vouching: ServedTrunkOptions['vouching']) {
    if (this.#isDraining) return { who: {}, refusal: shuttingDown() };
    try {
      return { who: forWhom(headers, vouching) };
    } catch (error) {
      return { who: {}, refusal: asMeshError(error) };
    }
  }

  #over(generationId: number): void {
    this.#running.remove(generationId);
    if (this.#running.size > 0) return;
    this.#options.onWork(false);
    if (this.#isClosed) this.events.end();
  }
}
