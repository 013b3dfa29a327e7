import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineState, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  ExplainPlacementResponseSchema,
  ListEnginesResponseSchema,
  type LogLine,
  LogLineSchema,
  type NodeEngine,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { ExplainRouteResponseSchema } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { printable } from '../../../services/shared/observability/printable.ts';
import { wholeNumber } from '../arguments.ts';
import { type Commands, examples } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { failureOf } from '../failure.ts';
import { tableLines } from '../output/table.ts';
import { bytesWord, enumWord } from '../output/words.ts';
import { messageJson, type Session } from '../session.ts';

export function add(program: Command, { act }: Commands): Command {
  const engines = program
    .command('engines')
    .description('The engines of all nodes.')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh engines list', 'all of them'],
        ['inference-mesh engines logs chat -f', 'what one writes'],
        ['inference-mesh engines explain chat', 'where its requests go'],
      ),
    );
  engines
    .command('list')
    .description('Every engine, how it is, and why it failed.')
    .addHelpText(
      'after',
      examples(['inference-mesh --json engines list | jq -r .engines[].engine.name', 'their names']),
    )
    .action(act(list));
  engines
    .command('logs <engine>')
    .description("The last lines of an engine's log, secrets masked.")
    .option('-f, --follow', 'and those that follow, until Ctrl-C')
    .option('-n, --lines <count>', 'how many past lines, 0 to 10,000', '100')
    .option('--node <node>', 'where several nodes have the engine')
    .addHelpText('after', examples(['inference-mesh engines logs chat -f', 'as it is written']))
    .action(act(logs));
  engines
    .command('explain <model>')
    .description('Where a model would be loaded and why, and to which engine a request would go. Nothing is done.')
    .option('--device <device>', 'as for `models load`')
    .addHelpText('after', examples(['inference-mesh engines explain hf:Qwen/Qwen3-8B-GGUF', 'does it fit?']))
    .action(act(explain));
  return engines;
}

async function list(session: Session): Promise<void> {
  const { inference } = await session.clients();
  const answer = await inference.listEngines({}, session.call);
  session.answer(ListEnginesResponseSchema, answer, () => engineLines(session, answer.engines));
}

function engineLines({ out }: Session, engines: readonly NodeEngine[]): string[] {
  const lines = tableLines<NodeEngine>(
    [
      { title: 'NODE', of: ({ node }) => node, mayShrink: true },
      { title: 'ENGINE', of: ({ engine }) => engine?.name ?? '', mayShrink: true },
      { title: 'KIND', of: ({ engine }) => engine?.kind ?? '' },
      {
        title: 'STATE',
        of: ({ engine }) => enumWord(EngineStateSchema, engine?.state ?? 0),
        style: ({ engine }) => styleOf(engine?.state),
      },
      { title: 'ON', of: ({ engine }) => [engine?.deviceKind, ...(engine?.devices ?? [])].join(' ') },
      { title: 'RUNNING', isFigure: true, of: ({ engine }) => String(engine?.load?.running ?? 0) },
      { title: 'RESTARTS', isFigure: true, of: ({ engine }) => String(engine?.restarts ?? 0) },
      { title: 'MODEL', of: ({ engine }) => engine?.modelId ?? '', mayShrink: true },
    ],
    engines,
    out,
  );
  for (const { engine } of engines) {
    if (!engine?.failure) continue;
    lines.push('', printable(`${engine.name}: ${engine.failure.hint}`));
    for (const line of engine.failure.evidence) lines.push(`  ${printable(line)}`);
  }
  return lines;
}

function styleOf(state: EngineState | undefined): 'green' | 'red' | 'yellow' {
  if (state === EngineState.READY) return 'green';
  return state === EngineState.QUARANTINED || state === EngineState.UNHEALTHY ? 'red' : 'yellow';
}

interface LogOptions {
  readonly follow?: boolean;
  readonly lines: string;
  readonly node?: string;
}

async function logs(
  session: Session,
  [engine = '']: string[],
  { follow, lines, node = '' }: LogOptions,
): Promise<void> {
  const request = { engine, node, lines: wholeNumber('--lines', lines, 0, 10_000), pastOnly: !follow };
  const { inference } = await session.clients();
  for await (const message of inference.tailLogs(request, session.stream)) {
    for (const line of message.lines) {
      if (session.isJson) session.json(messageJson(LogLineSchema, line));
      else session.out.line(logLine(session, line));
    }
  }
}

function logLine({ out }: Session, { at, fromStderr, text }: LogLine): string {
  const time = at ? `${new Date(timestampMs(at)).toISOString().slice(11, 23)} ` : '';
  return out.style('dim', time) + (fromStderr ? out.style('yellow', printable(text)) : printable(text));
}

async function explain(
  session: Session,
  [model = '']: string[],
  { device = '' }: { device?: string },
): Promise<number> {
  const { inference, router } = await session.clients();
  const placement = await inference.explainPlacement({ model, device }, session.call);
  // What is not loaded has no engine to go to, which is an answer too.
  const route = await router.explainRoute({ request: asked(model) }, session.call).catch((error: unknown) => error);
  const isRouted = !(route instanceof Error);
  const candidates = isRouted ? (route as { candidates: [] }).candidates : [];
  if (session.isJson) {
    session.json({
      placement: messageJson(ExplainPlacementResponseSchema, placement),
      route: isRouted ? messageJson(ExplainRouteResponseSchema, route as never) : null,
    });
    return placement.fits ? EXIT.ok : EXIT.failed;
  }
  const { out } = session;
  out.line(printable(placement.summary));
  if (placement.estimatedBytes > 0n) out.line(`it needs about ${bytesWord(placement.estimatedBytes)}`);
  out.line();
  const places = tableLines(
    [
      { title: 'PLACE', of: ({ device: at, node }) => [node, at?.index ?? 'cpu'].join(' '), mayShrink: true },
      { title: 'CHOSEN', of: ({ chosen }) => (chosen ? '*' : '') },
      {
        title: 'FREE',
        isFigure: true,
        of: ({ freeBytes, device: at }) => (at?.index === undefined ? '-' : bytesWord(freeBytes)),
      },
      { title: 'WHY', of: ({ why }) => why, mayShrink: true },
    ],
    placement.candidates,
    out,
  );
  for (const line of places) out.line(line);
  out.line();
  const routes = isRouted
    ? tableLines<{ engine: string; node: string; chosen: boolean; score?: number; why: string }>(
        [
          { title: 'A REQUEST GOES TO', of: ({ engine, node }) => `${node} ${engine}`, mayShrink: true },
          { title: 'CHOSEN', of: ({ chosen }) => (chosen ? '*' : '') },
          { title: 'SCORE', isFigure: true, of: ({ score }) => (score === undefined ? '-' : score.toFixed(2)) },
          { title: 'WHY', of: ({ why }) => why, mayShrink: true },
        ],
        candidates,
        out,
      )
    : [`a request for it: ${printable(failureOf(route, session.url).message)}`];
  for (const line of routes) out.line(line);
  return placement.fits ? EXIT.ok : EXIT.failed;
}

function asked(model: string): GenerateRequest {
  return create(GenerateRequestSchema, { model, prompt: { input: { case: 'text', value: '?' } } });
}
