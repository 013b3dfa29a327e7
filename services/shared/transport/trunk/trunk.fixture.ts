import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../../errors/mesh-error.ts';
import { FlowControl } from '../flow-control.ts';
import type { Generate, GenerationCall } from '../generate.ts';

/** A generation that runs, and what its sink was told: the kinds of events, then "end" or "fail". */
export interface Run {
  readonly told: string[];
  readonly events: GenerationEvent[];
  readonly flow: FlowControl;
  readonly error: () => MeshError | undefined;
  readonly isOver: () => boolean;
  abort(reason?: MeshError): void;
}

/** Runs a generation of the test model over a seam. */
export function runOver(generate: Generate, text: string, options: Partial<GenerationCall> = {}): Run {
  const told: string[] = [];
  const events: GenerationEvent[] = [];
  const aborter = new AbortController();
  const flow = new FlowControl();
  let error: MeshError | undefined;
  const request = create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: text } } });
  const sink = {
    event(event: GenerationEvent) {
      told.push(event.event.case ?? '');
      events.push(event);
    },
    end: () => void told.push('end'),
    fail(failure: MeshError) {
      error = failure;
      told.push('fail');
    },
  };
  generate(request, { requestId: 'req_1', signal: aborter.signal, flow, ...options }, sink);
  return {
    told,
    events,
    flow,
    error: () => error,
    isOver: () => told.includes('end') || told.includes('fail'),
    abort: (reason = new MeshError('CLIENT_GONE', 'gone')) => aborter.abort(reason),
  };
}

/** Stands between a trunk and its server. */
export interface Relay {
  readonly url: string;
  /** Connections that were made over it. */
  readonly made: () => number;
  /** Breaks what is connected. */
  cut(): void;
  /** Passes nothing on any more, in either direction, and closes nothing: the host has vanished. */
  freeze(): void;
  close(): Promise<void>;
}

/** Starts a relay to a port of this host. */
export async function startRelay(port: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let made = 0;
  const server = net.createServer((near) => {
    made += 1;
    const far = net.connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('data', (bytes) => other.write(bytes));
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    made: () => made,
    cut,
    freeze() {
      for (const socket of sockets) socket.pause();
    },
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
