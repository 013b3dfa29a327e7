/**
 * Evaluates the shipped model through the mesh's own `/v1/chat/completions`; ends with 1 when a goal is missed.
 *
 * Usage: npm run eval [-- model.gguf]   (without a file: the model that a bare `npm start` serves)
 */
import { resolve } from 'node:path';
import OpenAI from 'openai';
import { startMesh } from '../../../test/harness/mesh.ts';
import { judgeChat, judgeSql, type Verdict } from './judge.ts';
import { type ChatPrompt, readPrompts, type SqlPrompt } from './prompts.ts';

const GOAL_SHARE = 0.8;
const MAX_TOKENS = 256;
/** As many as the engine generates at once by default. */
const CONCURRENCY = 8;

type Outcome = {
  readonly id: string;
  readonly group: string;
  readonly question: string;
  readonly answer: string;
  readonly ended: boolean;
  readonly verdict: Verdict;
};

async function ask(client: OpenAI, prompt: ChatPrompt | SqlPrompt): Promise<Outcome> {
  const completion = await client.chat.completions.create({
    model: 'default',
    messages: prompt.messages,
    temperature: 0,
    max_tokens: MAX_TOKENS,
  });
  const choice = completion.choices[0];
  const answer = choice?.message.content ?? '';
  const common = {
    id: prompt.id,
    question: prompt.messages.at(-1)?.content ?? '',
    answer,
    ended: choice?.finish_reason === 'stop',
  };
  return 'tables' in prompt
    ? { ...common, group: 'sql', verdict: await judgeSql(answer, prompt) }
    : {
        ...common,
        group: prompt.topic,
        verdict: answer === common.question ? 'repeats the question' : judgeChat(answer, prompt),
      };
}

async function askAll(client: OpenAI, prompts: readonly (ChatPrompt | SqlPrompt)[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const left = prompts.values();
  const worker = async (): Promise<void> => {
    for (const prompt of left) outcomes.push(await ask(client, prompt));
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return outcomes;
}

/** Prints the share that holds; whether it is enough. */
function goal(name: string, held: number, of: number, needed: number): boolean {
  const reached = held >= needed * of;
  console.log(
    `${name.padEnd(22)} ${String(held).padStart(4)} of ${of}  ${((100 * held) / of).toFixed(1)} %  (goal ${needed * 100} %: ${reached ? 'reached' : 'MISSED'})`,
  );
  return reached;
}

function report(outcomes: readonly Outcome[]): boolean {
  for (const { id, question, answer, ended, verdict } of outcomes.toSorted((a, b) => a.id.localeCompare(b.id))) {
    if (verdict === undefined && ended) continue;
    console.log(`${id}: ${JSON.stringify(question)} -> ${JSON.stringify(answer)}: ${verdict ?? 'did not end'}`);
  }
  console.log();
  const right = (some: readonly Outcome[]): number => some.filter(({ verdict }) => verdict === undefined).length;
  for (const [group, some] of Map.groupBy(outcomes, (outcome) => outcome.group)) {
    console.log(`${group.padEnd(22)} ${String(right(some)).padStart(4)} of ${some.length}`);
  }
  console.log();
  const sql = outcomes.filter(({ group }) => group === 'sql');
  const chat = outcomes.filter(({ group }) => group !== 'sql');
  return [
    goal('chat: key fact', right(chat), chat.length, GOAL_SHARE),
    goal('SQL: parses, tables', right(sql), sql.length, GOAL_SHARE),
    goal('ends its turn', outcomes.filter(({ ended }) => ended).length, outcomes.length, 1),
  ].every((reached) => reached);
}

const file = process.argv[2];
const mesh = await startMesh('one process', file === undefined ? {} : { args: ['--model', resolve(file)] });
try {
  const client = new OpenAI({ baseURL: `${mesh.url}/v1`, apiKey: mesh.adminKey });
  const { chat, sql } = readPrompts();
  if (!report(await askAll(client, [...chat, ...sql]))) process.exitCode = 1;
} finally {
  await mesh.stop();
}
