import { create } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import {
  CreateOrganizationResponseSchema,
  ListOrganizationsResponseSchema,
  type Organization,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { type Commands, examples } from '../command.ts';
import { clean, tableLines } from '../output/table.ts';
import { momentWord } from '../output/words.ts';
import { allPages } from '../pages.ts';
import type { Session } from '../session.ts';

export function add(program: Command, { act }: Commands): Command {
  const orgs = program
    .command('orgs')
    .description('Organisations, whose keys and users share limits and a bill.')
    .addHelpText('after', examples(['inference-mesh orgs create acme', '']));
  orgs
    .command('create <id>')
    .description('Makes an organisation.')
    .option('--tier <name>', 'of its new keys and users; standard if not given')
    .addHelpText('after', examples(['inference-mesh orgs create acme --tier premium', 'its keys are premium']))
    .action(act(createOrganization));
  orgs
    .command('list')
    .description('Organisations by id, those of the configuration file too.')
    .addHelpText('after', examples(['inference-mesh orgs list --json', 'for programs']))
    .action(act(list));
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

async function list(session: Session): Promise<void> {
  const { auth } = await session.clients();
  const pages = await allPages(
    (pageToken) => auth.listOrganizations({ pageSize: 1_000, pageToken }, session.call),
    (page) => page.organizations.length,
  );
  const organizations = pages.flatMap((page) => page.organizations);
  const answer = create(ListOrganizationsResponseSchema, { organizations });
  session.answer(ListOrganizationsResponseSchema, answer, () =>
    tableLines<Organization>(
      [
        { title: 'ORG', of: ({ organizationId }) => organizationId },
        { title: 'TIER', of: ({ tier }) => tier },
        { title: 'SINCE', of: ({ createdAt }) => (createdAt ? momentWord(createdAt) : 'in the file') },
      ],
      organizations,
      session.out,
    ),
  );
}
