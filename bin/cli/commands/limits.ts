import type { Command } from 'commander';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { Limit, LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import {
  ExplainLimitsResponseSchema,
  GetLimitsResponseSchema,
  SetLimitsResponseSchema,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { wholeNumber } from '../arguments.ts';
import { type Commands, examples } from '../command.ts';
import { CliError, EXIT, usageError } from '../exit-code.ts';
import { limitWord, maximumWord, parseLimit, SUBJECT_KINDS, whoseWord } from '../limit-words.ts';
import { tableLines } from '../output/table.ts';
import { countWord, durationWord } from '../output/words.ts';
import { allPages } from '../pages.ts';
import type { Session } from '../session.ts';

const MOST_TOKENS = 0xffff_ffff;

export function add(program: Command, { act }: Commands): Command {
  const limits = program
    .command('limits')
    .description('Limits on requests, tokens and what runs at a time.')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh limits get', 'your own'],
        ['inference-mesh limits set user ada requests_per_minute=30', 'hers'],
      ),
    );
  limits
    .command('get')
    .description('The limits of the key that you call with, and how full each is; those of others need an admin key.')
    .option('--key <key-id>', 'of another key')
    .option('--user <id>', 'of a user')
    .option('--org <id>', 'of an organisation')
    .addHelpText('after', examples(['inference-mesh limits get --user ada', 'what is left to her']))
    .action(act(get));
  limits
    .command('set <kind> <name> [limits...]')
    .description(
      'Replaces all limits of a key, user, org, tier, model or engine; they hold at once and survive restarts.',
    )
    .option('--reset', 'those of the configuration again')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh limits set tier free requests_per_minute=10 tokens_per_day=50000', 'both, and no others'],
        ['inference-mesh limits set key 3f9k requests_bucket=60:10', 'refilled by 60 a minute, at most 10 at once'],
        ['inference-mesh limits set org acme --reset', 'as configured'],
      ),
    )
    .action(act(set));
  limits
    .command('explain [model]')
    .description(
      'Whether a call would be let in now, and which limits it meets. Nothing is taken. Ends with 75 if it would not.',
    )
    .option('--prompt-tokens <count>', 'the length of its prompt', '0')
    .option('--max-tokens <count>', 'the most that it may produce', '0')
    .option('--ip <address>', 'where it comes from')
    .option('--engine <name>', 'the engine that would run it')
    .addHelpText(
      'after',
      examples(['inference-mesh limits explain chat --prompt-tokens 2000 --max-tokens 500', 'may this call?']),
    )
    .action(act(explain));
  return limits;
}

interface Whose {
  readonly key?: string;
  readonly user?: string;
  readonly org?: string;
}

async function get(session: Session, _args: string[], whose: Whose): Promise<void> {
  if (Object.keys(whose).filter((name) => ['key', 'user', 'org'].includes(name)).length > 1) {
    throw usageError('--key, --user, --org', 'give one of them');
  }
  const { quota } = await session.clients();
  const principal = await principalOf(session, whose);
  const answer = await quota.getLimits(principal ? { principal: principal as Principal } : {}, session.call);
  session.answer(GetLimitsResponseSchema, answer, () => stateLines(session, answer.limits));
}

/** Whoever asks for another's limits also has to say what that one is: looked up where keys and users are kept. */
async function principalOf(session: Session, { key, user, org }: Whose): Promise<Partial<Principal> | undefined> {
  const { auth } = await session.clients();
  if (key !== undefined) {
    const pages = await allPages(
      (pageToken) => auth.listApiKeys({ pageSize: 1_000, pageToken }, session.call),
      (page) => page.apiKeys.length,
    );
    const found = pages.flatMap(({ apiKeys }) => apiKeys).find(({ keyId }) => keyId === key);
    if (!found) throw new CliError('There is no such key.', EXIT.failed, '`keys list` shows the ids.');
    const { keyId, userId, organizationId, tier, scopes, models } = found;
    return { keyId, userId, organizationId, tier, scopes, models };
  }
  if (user !== undefined) {
    const pages = await allPages(
      (pageToken) => auth.listUsers({ pageSize: 1_000, pageToken }, session.call),
      (page) => page.users.length,
    );
    const found = pages.flatMap(({ users }) => users).find(({ userId }) => userId === user);
    if (!found) throw new CliError('There is no such user.', EXIT.failed, '`users list` shows the names.');
    const { userId, organizationId, tier, scopes } = found;
    return { userId, organizationId, tier, scopes };
  }
  return org === undefined ? undefined : { organizationId: org };
}

async function set(session: Session, args: string[], { reset = false }: { reset?: boolean }): Promise<void> {
  const [kind = '', subject = '', ...texts] = args;
  const scope = SUBJECT_KINDS.get(kind);
  if (scope === undefined) throw usageError('<kind>', `expected ${[...SUBJECT_KINDS.keys()].join(', ')}`);
  if (reset === texts.length > 0) throw usageError('[limits...]', 'give limits, or --reset');
  const limits = texts.map((text) => parseLimit(text, scope));
  const { quota } = await session.clients();
  const answer = await quota.setLimits({ scope, subject, limits }, session.call);
  session.answer(SetLimitsResponseSchema, answer, () =>
    answer.limits.length === 0
      ? ['no limits of its own']
      : tableLines<Limit>(
          [
            { title: 'LIMIT', of: limitWord },
            { title: 'AT MOST', isFigure: true, of: maximumWord },
          ],
          answer.limits,
          session.out,
        ),
  );
}

interface ExplainOptions {
  readonly promptTokens: string;
  readonly maxTokens: string;
  readonly ip?: string;
  readonly engine?: string;
}

async function explain(session: Session, [model = '']: string[], options: ExplainOptions): Promise<number> {
  const request = {
    model,
    promptTokens: wholeNumber('--prompt-tokens', options.promptTokens, 0, MOST_TOKENS),
    maxCompletionTokens: wholeNumber('--max-tokens', options.maxTokens, 0, MOST_TOKENS),
    clientIp: options.ip ?? '',
    engine: options.engine ?? '',
  };
  const { quota } = await session.clients();
  const answer = await quota.explainLimits(request, session.call);
  session.answer(ExplainLimitsResponseSchema, answer, () => [
    answer.allowed
      ? 'it would be let in now'
      : `refused by ${answer.refusedBy.join(', ')}${answer.retryAfter ? `; try again in ${durationWord(answer.retryAfter)}` : ''}`,
    '',
    ...stateLines(session, answer.limits, answer.refusedBy),
  ]);
  return answer.allowed ? EXIT.ok : EXIT.tryAgain;
}

function stateLines({ out }: Session, limits: readonly LimitState[], refusing: readonly string[] = []): string[] {
  const rows = limits.flatMap(({ limit, ...state }) => (limit ? [{ limit, ...state }] : []));
  if (rows.length === 0) return ['no limits'];
  return tableLines(
    [
      { title: 'LIMIT', of: ({ limit }) => limitWord(limit), mayShrink: true },
      { title: 'OF', of: ({ limit }) => whoseWord(limit), mayShrink: true },
      {
        title: 'LEFT',
        isFigure: true,
        of: ({ remaining }) => countWord(remaining),
        style: ({ limit, remaining }) => (remaining === 0n || refusing.includes(limit.id) ? 'red' : undefined),
      },
      { title: 'AT MOST', isFigure: true, of: ({ limit }) => maximumWord(limit), mayShrink: true },
      { title: 'HELD', isFigure: true, of: ({ held }) => countWord(held) },
      { title: 'FREE IN', isFigure: true, of: ({ resetAfter }) => durationWord(resetAfter) },
    ],
    rows,
    out,
  );
}
