import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type InferenceService,
  type TailLogsResponse,
  TailLogsResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { InferenceContext } from '../context.ts';
import type { EngineLogLine } from '../supervisor/log-lines.ts';

/** How many lines go into one message; lines are at most 4,096 characters. */
const LINES_PER_MESSAGE = 200;

/** How many lines wait for a slow reader, besides those that it asked for, before the oldest are left out. */
const WAITING_LINES = 1_000;

/**
 * The last lines of an engine's log, as many as are asked for and kept, then those that follow, until the engine's log is
 * closed, or none that follow. The first message may be empty. A slow reader is told how many lines it missed.
 */
export function tailLogs(
  context: Pick<InferenceContext, 'node' | 'engineLog'>,
): MethodImpl<typeof InferenceService.method.tailLogs> {
  return async function* (request, call) {
    call.signal.throwIfAborted();
    if (request.node !== '' && request.node !== context.node) {
      const message = `No node '${request.node}' here; this is '${context.node}'.`;
      throw new MeshError('MODEL_NOT_FOUND', message, { metadata: { model: request.engine } });
    }
    const log = context.engineLog(request.engine);
    // Both in one turn, so that no line is missed or comes twice.
    let waiting = [...log.tail(request.lines)];
    const limit = waiting.length + WAITING_LINES;
    let missed = 0;
    let isOver = request.pastOnly;
    let wake: () => void = () => {};
    const follow = (): (() => void) =>
      log.follow(
        (line) => {
          waiting.push(line);
          if (waiting.length > limit) {
            // In blocks, not one by one: shifting for every line of a flood would cost more than the lines.
            missed += LINES_PER_MESSAGE;
            waiting = waiting.slice(LINES_PER_MESSAGE);
          }
          wake();
        },
        () => {
          isOver = true;
          wake();
        },
      );
    const leave = request.pastOnly ? () => {} : follow();
    // The signal, not a finally: a generator that waits in a yield is not finalised when its reader vanishes.
    call.signal.addEventListener('abort', () => {
      leave();
      wake();
    });
    for (let isFirst = true; ; isFirst = false) {
      if (isFirst || waiting.length > 0) {
        const lines = waiting.splice(0, LINES_PER_MESSAGE);
        const missing = missed;
        missed = 0;
        yield message(lines, missing);
      } else if (isOver) {
        return;
      } else {
        // Only now: what was written before the port closes is still told.
        call.signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  };
}

function message(lines: readonly EngineLogLine[], missed: number): TailLogsResponse {
  const [first] = lines;
  const note = `[mesh] ${missed} lines were left out: this reader is too slow`;
  const all = first && missed > 0 ? [{ ...first, text: note }, ...lines] : lines;
  return create(TailLogsResponseSchema, {
    lines: all.map(({ atMs, fromStderr, text }) => ({ at: timestampFromMs(atMs), fromStderr, text })),
  });
}
