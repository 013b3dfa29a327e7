import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import {
  type ApiKey,
  CreateApiKeyResponseSchema,
  ListApiKeysResponseSchema,
  RevokeApiKeyResponseSchema,
  RotateApiKeyResponseSchema,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { collect, moment, SCOPE_NAMES, scopes, scopeWords, timeSpanMs } from '../arguments.ts';
import { type Commands, examples } from '../command.ts';
import type { LocalOptions } from '../local-config.ts';
import { tableLines } from '../output/table.ts';
import { momentWord } from '../output/words.ts';
import { allPages } from '../pages.ts';
import { messageJson, type Session } from '../session.ts';

export function add(program: Command, { act }: Commands): Command {
  const keys = program
    .command('keys')
    .description('API keys. A key is shown once, when it is made or rotated.')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh keys create --name my-app', 'one that may generate'],
        ['inference-mesh keys revoke 3f9kQz07LmXa', 'ends it'],
      ),
    );
  keys
    .command('create')
    .description('Makes a key and prints it on standard output; what is known of it goes to standard error.')
    .option('--name <label>', 'a label for people')
    .option('--user <id>', 'the user it is for; your own if not given')
    .option('--org <id>', 'the organisation; your own if not given')
    .option('--tier <name>', 'the set of limits; that of the organisation if not given')
    .option('--scope <names>', `what it may do, by commas (${SCOPE_NAMES}); generate if not given`, collect)
    .option('--model <names>', 'the models it may use, by commas; all if not given', collect)
    .option('--ip <ranges>', 'the addresses it may be used from, by commas; any if not given', collect)
    .option('--expires <when>', 'a date, or a time from now such as 90d; never if not given')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh keys create --name my-app --expires 90d', 'may generate for 90 days'],
        ['KEY=$(inference-mesh keys create --name ci)', 'for a script'],
      ),
    )
    .action(act(createKey));
  keys
    .command('list')
    .description('Keys, newest first, never their secrets.')
    .option('--org <id>', 'of one organisation')
    .addHelpText('after', examples(['inference-mesh keys list --org acme', '']))
    .action(act(list));
  keys
    .command('rotate <key-id>')
    .description('Makes a new secret for a key and prints it.')
    .option('--grace <time>', 'how long the old one stays valid, e.g. 1h; 0s ends it now; 24 hours if not given')
    .addHelpText(
      'after',
      examples(['inference-mesh keys rotate 3f9kQz07LmXa --grace 1h > key', 'the new one into a file']),
    )
    .action(act(rotate));
  keys
    .command('revoke <key-id>')
    .description('Ends a key at once, everywhere.')
    .option('--cut', 'also end the streams that run with it')
    .addHelpText('after', examples(['inference-mesh keys revoke 3f9kQz07LmXa --cut', 'and what runs with it']))
    .action(act(revoke));
  keys
    .command('hash')
    .description(
      'What auth.api_keys[].hash of the configuration file takes of a key, which is read from standard input.',
    )
    .option('--config <file>', 'the configuration whose pepper counts')
    .addHelpText('after', examples(['inference-mesh keys hash --config mesh.yaml < key-file', 'without a terminal']))
    .allowUnknownOption()
    .allowExcessArguments()
    .action(
      act<LocalOptions>(async (session, args, options) => {
        const { hashKeyCommand } = await import('./hash.ts');
        await hashKeyCommand(session, args, options);
      }),
    );
  return keys;
}

interface CreateOptions {
  readonly name?: string;
  readonly user?: string;
  readonly org?: string;
  readonly tier?: string;
  readonly scope?: string[];
  readonly model?: string[];
  readonly ip?: string[];
  readonly expires?: string;
}

async function createKey(session: Session, _args: string[], options: CreateOptions): Promise<void> {
  const { name = '', user = '', org = '', tier = '', model = [], ip = [], expires } = options;
  const request = {
    ...{ name, tier, models: model, allowedIpRanges: ip, userId: user, organizationId: org },
    scopes: scopes(options.scope),
    ...(expires === undefined ? {} : { expiresAt: moment('--expires', expires, Date.now(), 1) }),
  };
  const { auth } = await session.clients();
  const answer = await auth.createApiKey(request, session.call);
  if (session.isJson) return session.json(messageJson(CreateApiKeyResponseSchema, answer));
  tell(session, answer.apiKey, 'It is shown this once.');
  session.out.line(answer.secret);
}

async function list(session: Session, _args: string[], { org = '' }: { org?: string }): Promise<void> {
  const { auth } = await session.clients();
  const pages = await allPages(
    (pageToken) => auth.listApiKeys({ organizationId: org, pageSize: 1_000, pageToken }, session.call),
    (page) => page.apiKeys.length,
  );
  const answer = create(ListApiKeysResponseSchema, { apiKeys: pages.flatMap((page) => page.apiKeys) });
  session.answer(ListApiKeysResponseSchema, answer, () =>
    tableLines<ApiKey>(
      [
        { title: 'KEY ID', of: ({ keyId }) => keyId },
        { title: 'NAME', of: ({ name }) => name, mayShrink: true },
        { title: 'USER', of: ({ userId }) => userId, mayShrink: true },
        { title: 'ORG', of: ({ organizationId }) => organizationId, mayShrink: true },
        { title: 'TIER', of: ({ tier }) => tier },
        { title: 'STATE', of: stateOf, style: (key) => (stateOf(key) === 'active' ? 'green' : 'yellow') },
        { title: 'LAST USED', of: ({ lastUsedAt }) => momentWord(lastUsedAt), mayShrink: true },
        { title: 'MAY', of: (key) => scopeWords(key.scopes), mayShrink: true },
      ],
      answer.apiKeys,
      session.out,
    ),
  );
}

function stateOf({ revokedAt, expiresAt }: ApiKey): string {
  if (revokedAt) return 'revoked';
  if (!expiresAt) return 'active';
  return Number(expiresAt.seconds) * 1_000 <= Date.now() ? 'expired' : 'active';
}

async function rotate(session: Session, [keyId = '']: string[], { grace }: { grace?: string }): Promise<void> {
  const request = { keyId, ...(grace === undefined ? {} : { grace: durationFromMs(timeSpanMs('--grace', grace)) }) };
  const { auth } = await session.clients();
  const answer = await auth.rotateApiKey(request, session.call);
  if (session.isJson) return session.json(messageJson(RotateApiKeyResponseSchema, answer));
  tell(session, answer.apiKey, answer.pushPending ? PENDING : 'It is shown this once.');
  session.out.line(answer.secret);
}

async function revoke(session: Session, [keyId = '']: string[], { cut = false }: { cut?: boolean }): Promise<void> {
  const { auth } = await session.clients();
  const answer = await auth.revokeApiKey({ keyId, cutRunningStreams: cut }, session.call);
  session.answer(RevokeApiKeyResponseSchema, answer, () => [
    `${answer.apiKey?.keyId} is revoked`,
    ...(answer.pushPending ? [PENDING] : []),
  ]);
}

const PENDING =
  'Not every process could be told yet; that is tried again. Until then some may take it for valid for up to 60 s.';

function tell({ err }: Session, key: ApiKey | undefined, note: string): void {
  if (!key) return;
  const until = key.expiresAt ? `until ${momentWord(key.expiresAt)} UTC` : 'without an end';
  err.line(`key ${key.keyId}, tier ${key.tier}, may ${scopeWords(key.scopes)}, ${until}. ${note}`);
}
