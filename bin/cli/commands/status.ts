import type { Command } from 'commander';
import { HealthCheckResponse_ServingStatus as Serving } from '../../../gen/grpc/health/v1/health_pb.ts';
import { EngineState, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { ListNodesResponseSchema, type Node } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { type Commands, examples } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { tableLines } from '../output/table.ts';
import { enumWord } from '../output/words.ts';
import { messageJson, type Session } from '../session.ts';

export function add(program: Command, { act }: Commands): Command {
  return program
    .command('status')
    .description('How the mesh is: its nodes, their engines, and what waits. Ends with 69 when it does not serve.')
    .addHelpText('after', examples(['inference-mesh status --json', 'for a monitor']))
    .action(act(showStatus));
}

async function showStatus(session: Session): Promise<number> {
  const { health, registry } = await session.clients();
  const [check, listed] = await Promise.all([health.check({}, session.call), registry.listNodes({}, session.call)]);
  const isServing = check.status === Serving.SERVING;
  const code = isServing ? EXIT.ok : EXIT.unavailable;
  if (session.isJson) {
    session.json({ url: session.url, serving: isServing, ...(messageJson(ListNodesResponseSchema, listed) as object) });
    return code;
  }
  const { out } = session;
  out.line(`${session.url}  ${isServing ? out.style('green', 'serving') : out.style('red', 'not serving')}`);
  out.line(`default model  ${listed.defaultModel || '(none)'}`);
  out.line(`waiting        ${listed.waiting}`);
  out.line();
  for (const line of engineLines(session, listed.nodes)) out.line(line);
  return code;
}

function engineLines({ out }: Session, nodes: readonly Node[]): string[] {
  const rows = nodes.flatMap((node) => node.engines.map((engine) => ({ node, engine })));
  if (rows.length === 0) return ['no engines'];
  return tableLines(
    [
      { title: 'NODE', of: ({ node }) => node.node + (node.draining ? ' (draining)' : ''), mayShrink: true },
      { title: 'ENGINE', of: ({ engine }) => engine.name, mayShrink: true },
      {
        title: 'STATE',
        of: ({ engine }) => enumWord(EngineStateSchema, engine.state),
        style: ({ engine }) => (engine.state === EngineState.READY ? 'green' : 'yellow'),
      },
      { title: 'ON', of: ({ engine }) => [engine.deviceKind, ...engine.devices].join(' ') },
      { title: 'RUNNING', isFigure: true, of: ({ engine }) => String(engine.load?.running ?? 0) },
      { title: 'MODEL', of: ({ engine }) => engine.modelId, mayShrink: true },
    ],
    rows,
    out,
  );
}
