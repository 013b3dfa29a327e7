import { join } from 'node:path';
import { freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import { environment, LOAD_CORE } from '../harness/stage.ts';

/** What takes traces over OTLP and forgets them. */
export interface TracesSink {
  readonly url: string;
  /** How many bytes of traces came so far. */
  bytes(): Promise<number>;
}

/** Starts one on the CPU of the load. */
export async function startTracesSink(scratch: string): Promise<TracesSink> {
  const port = await freePort();
  const program = join(import.meta.dirname, 'otlp-sink.ts');
  const sink = startChild([process.execPath, program, String(port)], { core: LOAD_CORE, cwd: scratch, environment });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(sink, async () => (await httpStatus(url)) === 200);
  return { url, bytes: async () => Number(await (await fetch(url)).text()) };
}
