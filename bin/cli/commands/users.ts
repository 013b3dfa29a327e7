import { create } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import {
  CreateUserResponseSchema,
  DisableUserResponseSchema,
  EnableUserResponseSchema,
  ListUsersResponseSchema,
  SetPasswordResponseSchema,
  type User,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { collect, SCOPE_NAMES, scopes, scopeWords } from '../arguments.ts';
import { type Commands, examples } from '../command.ts';
import { clean, tableLines } from '../output/table.ts';
import { momentWord } from '../output/words.ts';
import { allPages } from '../pages.ts';
import { readSecretLine } from '../secret-input.ts';
import type { Session } from '../session.ts';

export function add(program: Command, { act }: Commands): Command {
  const users = program
    .command('users')
    .description(
      'Users, who log in with a password. Passwords are read from standard input, never from the command line.',
    )
    .addHelpText(
      'after',
      examples(
        ['inference-mesh users create ada --org acme', 'asks for a password'],
        ['inference-mesh users disable ada', 'ends all that is hers'],
      ),
    );
  users
    .command('create <user>')
    .description('Makes a user; the password is asked for, or read from standard input.')
    .option('--org <id>', 'the organisation; "default" if not given')
    .option('--tier <name>', 'the set of limits; that of the organisation if not given')
    .option('--scope <names>', `what the user may do, by commas (${SCOPE_NAMES}); generate if not given`, collect)
    .addHelpText('after', examples(['inference-mesh users create ada < password-file', 'without a terminal']))
    .action(act(createUser));
  users
    .command('list')
    .description('Users by name.')
    .option('--org <id>', 'of one organisation')
    .addHelpText('after', examples(['inference-mesh users list --org acme', '']))
    .action(act(list));
  users
    .command('password <user>')
    .description("Sets a user's password; tokens from before no longer count.")
    .addHelpText('after', examples(['inference-mesh users password ada', 'asks for it']))
    .action(act(setPassword));
  users
    .command('disable <user>')
    .description("Ends a user's tokens, keys and running streams at once, everywhere.")
    .addHelpText('after', examples(['inference-mesh users disable ada', '']))
    .action(act(disable));
  users
    .command('enable <user>')
    .description('Lets a disabled user in again.')
    .addHelpText('after', examples(['inference-mesh users enable ada', '']))
    .action(act(enable));
  users
    .command('hash')
    .description(
      'What auth.users[].password_hash of the configuration file takes of a password, which is read from standard input.',
    )
    .addHelpText('after', examples(['inference-mesh users hash < password-file', 'without a terminal']))
    .allowUnknownOption()
    .allowExcessArguments()
    .action(
      act(async (session, args) => {
        const { hashPasswordCommand } = await import('./hash.ts');
        await hashPasswordCommand(session, args);
      }),
    );
  return users;
}

interface CreateOptions {
  readonly org?: string;
  readonly tier?: string;
  readonly scope?: string[];
}

async function createUser(session: Session, [userId = '']: string[], options: CreateOptions): Promise<void> {
  const { org = '', tier = '' } = options;
  const granted = scopes(options.scope);
  const { auth } = await session.clients();
  const password = await readSecretLine(session, 'Password: ');
  const answer = await auth.createUser({ userId, password, organizationId: org, tier, scopes: granted }, session.call);
  session.answer(CreateUserResponseSchema, answer, () => [
    clean(`${answer.user?.userId} of ${answer.user?.organizationId} may ${scopeWords(answer.user?.scopes ?? [])}`),
  ]);
}

async function list(session: Session, _args: string[], { org = '' }: { org?: string }): Promise<void> {
  const { auth } = await session.clients();
  const pages = await allPages(
    (pageToken) => auth.listUsers({ organizationId: org, pageSize: 1_000, pageToken }, session.call),
    (page) => page.users.length,
  );
  const answer = create(ListUsersResponseSchema, { users: pages.flatMap((page) => page.users) });
  session.answer(ListUsersResponseSchema, answer, () =>
    tableLines<User>(
      [
        { title: 'USER', of: ({ userId }) => userId },
        { title: 'ORG', of: ({ organizationId }) => organizationId, mayShrink: true },
        { title: 'TIER', of: ({ tier }) => tier },
        {
          title: 'STATE',
          of: ({ disabledAt }) => (disabledAt ? 'disabled' : 'active'),
          style: ({ disabledAt }) => (disabledAt ? 'yellow' : 'green'),
        },
        { title: 'SINCE', of: ({ createdAt }) => (createdAt ? momentWord(createdAt) : 'in the file'), mayShrink: true },
        { title: 'MAY', of: (user) => scopeWords(user.scopes), mayShrink: true },
      ],
      answer.users,
      session.out,
    ),
  );
}

async function setPassword(session: Session, [userId = '']: string[]): Promise<void> {
  const { auth } = await session.clients();
  const newPassword = await readSecretLine(session, 'New password: ');
  const answer = await auth.setPassword({ userId, newPassword }, session.call);
  session.answer(SetPasswordResponseSchema, answer, () => ['the password is set']);
}

async function disable(session: Session, [userId = '']: string[]): Promise<void> {
  const { auth } = await session.clients();
  const answer = await auth.disableUser({ userId }, session.call);
  session.answer(DisableUserResponseSchema, answer, () => [
    clean(`${answer.user?.userId} is disabled`),
    ...(answer.pushPending ? ['Not every process could be told yet; that is tried again.'] : []),
  ]);
}

async function enable(session: Session, [userId = '']: string[]): Promise<void> {
  const { auth } = await session.clients();
  const answer = await auth.enableUser({ userId }, session.call);
  session.answer(EnableUserResponseSchema, answer, () => [clean(`${answer.user?.userId} may log in`)]);
}
