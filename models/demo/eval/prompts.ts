/** The prompts of the evaluation, written by hand and independently of the training text. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const messages = z
  .array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string().min(1) }))
  .min(1);

const chatPrompt = z
  .object({
    id: z.string(),
    topic: z.string(),
    messages,
    /** Alternatives: the answer must contain every phrase of one of them. */
    anyOf: z
      .array(z.array(z.string().min(1)).min(1))
      .min(1)
      .optional(),
    /** Exactly so many lines. */
    lines: z.int().optional(),
    minWords: z.int().optional(),
  })
  .strict();
const sqlPrompt = z
  .object({
    id: z.string(),
    kind: z.string(),
    messages,
    /** All tables that the statement must read, and no other. */
    tables: z.array(z.string().min(1)).min(1),
  })
  .strict();

export type ChatPrompt = z.output<typeof chatPrompt>;
export type SqlPrompt = z.output<typeof sqlPrompt>;

function readLines<T extends z.ZodType>(name: string, type: T): z.output<T>[] {
  const lines = readFileSync(join(import.meta.dirname, name), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => type.parse(JSON.parse(line)));
}

/** Throws where a line is not a prompt. */
export function readPrompts(): { chat: ChatPrompt[]; sql: SqlPrompt[] } {
  return { chat: readLines('chat.jsonl', chatPrompt), sql: readLines('sql.jsonl', sqlPrompt) };
}
