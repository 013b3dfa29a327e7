import type { Command } from 'commander';
import { GetUsageResponseSchema, UsageGrouping, type UsageRow } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { collect, moment } from '../arguments.ts';
import { type Commands, examples } from '../command.ts';
import { usageError } from '../exit-code.ts';
import { type Column, tableLines } from '../output/table.ts';
import { countWord } from '../output/words.ts';
import type { Session } from '../session.ts';

interface Grouping {
  readonly value: UsageGrouping;
  readonly column: Column<UsageRow>;
}

const GROUPINGS: Readonly<Record<string, Grouping>> = {
  key: { value: UsageGrouping.KEY, column: { title: 'KEY', of: ({ keyId }) => keyId } },
  user: { value: UsageGrouping.USER, column: { title: 'USER', of: ({ userId }) => userId, mayShrink: true } },
  org: {
    value: UsageGrouping.ORGANIZATION,
    column: { title: 'ORG', of: ({ organizationId }) => organizationId, mayShrink: true },
  },
  model: { value: UsageGrouping.MODEL, column: { title: 'MODEL', of: ({ model }) => model, mayShrink: true } },
  day: { value: UsageGrouping.DAY, column: { title: 'DAY', of: ({ day }) => day } },
};

const FIGURES: readonly Column<UsageRow>[] = [
  { title: 'REQUESTS', isFigure: true, of: ({ requests }) => countWord(requests) },
  { title: 'TOKENS IN', isFigure: true, of: ({ promptTokens }) => countWord(promptTokens) },
  { title: 'TOKENS OUT', isFigure: true, of: ({ completionTokens }) => countWord(completionTokens) },
];

interface UsageOptions {
  readonly by?: string[];
  readonly since: string;
  readonly until?: string;
  readonly org?: string;
}

export function add(program: Command, { act }: Commands): Command {
  return program
    .command('usage')
    .description('Sums of the usage ledger, by whole UTC days.')
    .option(
      '--by <columns>',
      `any of ${Object.keys(GROUPINGS).join(', ')}, by commas; key,user,model,day if not given`,
      collect,
    )
    .option('--since <when>', 'a date, or a time before now such as 30d', '7d')
    .option('--until <when>', 'a date or a time before now; now if not given')
    .option('--org <id>', 'of one organisation; your own if not given, with an admin key all')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh usage --by model,day --since 30d', 'a month of each model'],
        ['inference-mesh usage --by user --since 2026-11-01 --until 2026-12-01 --json', 'for a bill'],
      ),
    )
    .action(act(usage));
}

async function usage(session: Session, _args: string[], options: UsageOptions): Promise<void> {
  const groupings = (options.by ?? ['key', 'user', 'model', 'day']).map((name) => {
    const grouping = Object.hasOwn(GROUPINGS, name) ? GROUPINGS[name] : undefined;
    if (!grouping) throw usageError('--by', `there are ${Object.keys(GROUPINGS).join(', ')}`);
    return grouping;
  });
  const nowMs = Date.now();
  const request = {
    start: moment('--since', options.since, nowMs, -1),
    groupBy: groupings.map(({ value }) => value),
    organizationId: options.org ?? '',
    ...(options.until === undefined ? {} : { end: moment('--until', options.until, nowMs, -1) }),
  };
  const { quota } = await session.clients();
  const answer = await quota.getUsage(request, session.call);
  session.answer(GetUsageResponseSchema, answer, () => lines(session, groupings, answer.rows));
}

function lines({ out }: Session, groupings: readonly Grouping[], rows: readonly UsageRow[]): string[] {
  if (rows.length === 0) return ['nothing was used'];
  const table = tableLines([...groupings.map(({ column }) => column), ...FIGURES], rows, out);
  const sum = (of: (row: UsageRow) => bigint): string => countWord(rows.reduce((total, row) => total + of(row), 0n));
  const total = `${sum(({ requests }) => requests)} requests, ${sum(({ promptTokens }) => promptTokens)} tokens in, ${sum(({ completionTokens }) => completionTokens)} tokens out`;
  return [...table, '', out.style('bold', total)];
}
