import type { Command } from 'commander';
import { CreateOrganizationResponseSchema } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { type Commands, examples } from '../command.ts';
import { clean } from '../output/table.ts';
import type { Session } from '../session.ts';

export function add(program: Command, { act }: Commands): Command {
  const orgs = program.command('orgs').description('Organisations, whose keys and users share limits and a bill.');
  orgs
    .command('create <id>')
    .description('Makes an organisation.')
    .option('--tier <name>', 'of its new keys and users; standard if not given')
    .addHelpText('after', examples(['inference-mesh orgs create acme --tier premium', 'its keys are premium']))
    .action(act(createOrganization));
  return orgs;
}

async function createOrganization(
  session: Session,
  [id = '']: string[],
  { tier = '' }: { tier?: string },
): Promise<void> {
  const { auth } = await session.clients();
  const answer = await auth.createOrganization({ organizationId: id, tier }, session.call);
  session.answer(CreateOrganizationResponseSchema, answer, () => [
    clean(`${answer.organization?.organizationId} has the tier ${answer.organization?.tier}`),
  ]);
}
