import { eventually, freePort, startProgram } from '../harness/processes.ts';
import type { SeenSpan } from './span-tree.ts';

/** A real Jaeger, its traces in memory. */
export interface Jaeger {
  /** Where it takes OTLP over HTTP. */
  readonly otlpUrl: string;
  /** The spans of a trace; empty: it knows none. */
  trace(traceId: string): Promise<readonly SeenSpan[]>;
  stop(): Promise<unknown>;
}

interface Told {
  readonly data: readonly {
    readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
    readonly spans: readonly {
      readonly traceID: string;
      readonly spanID: string;
      readonly operationName: string;
      readonly processID: string;
      readonly references: readonly { readonly refType: string; readonly spanID: string }[];
      readonly tags: readonly { readonly key: string; readonly value: unknown }[];
      readonly logs: readonly { readonly fields: readonly { readonly key: string; readonly value: unknown }[] }[];
    }[];
  }[];
}

/** Starts Jaeger 1's program `all-in-one`. */
export async function startJaeger(program: string): Promise<Jaeger> {
  const ports = { otlp: await freePort(), query: await freePort() };
  const others = [
    'admin.http',
    'collector.otlp.grpc',
    'collector.http-server',
    'collector.grpc-server',
    'query.grpc-server',
  ];
  const args = [
    `--collector.otlp.http.host-port=127.0.0.1:${ports.otlp}`,
    `--query.http-server.host-port=127.0.0.1:${ports.query}`,
  ];
  for (const name of others) args.push(`--${name}.host-port=127.0.0.1:${await freePort()}`);
  const running = startProgram(program, args, { SPAN_STORAGE_TYPE: 'memory' });
  const url = `http://127.0.0.1:${ports.query}`;
  await eventually('Jaeger answers', async () => {
    if (running.child.exitCode !== null) throw new Error(`Jaeger ended:\n${running.output()}`);
    return (await fetch(`${url}/api/services`)).ok;
  });
  return {
    otlpUrl: `http://127.0.0.1:${ports.otlp}`,
    async trace(traceId) {
      const answer = await fetch(`${url}/api/traces/${traceId}`);
      return answer.ok ? spansOf((await answer.json()) as Told) : [];
    },
    stop: () => running.stop(),
  };
}

function spansOf({ data }: Told): SeenSpan[] {
  return data.flatMap(({ spans, processes }) =>
    spans.map(({ traceID, spanID, operationName, processID, references, tags, logs }) => ({
      traceId: traceID,
      spanId: spanID,
      parentId: references.find(({ refType }) => refType === 'CHILD_OF')?.spanID ?? '',
      name: operationName,
      service: processes[processID]?.serviceName ?? '',
      attributes: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
      events: logs.flatMap(({ fields }) =>
        fields.filter(({ key }) => key === 'event').map(({ value }) => String(value)),
      ),
    })),
  );
}
