// `npm run recording`: writes the session of README.md anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { BEGIN, END, record } from './recording.ts';

const README = new URL('../../README.md', import.meta.url);
const text = readFileSync(README, 'utf8');
const [before, rest] = text.split(BEGIN);
const after = rest?.split(END)[1];
if (before === undefined || after === undefined) throw new Error('README.md has no place for the recording');
writeFileSync(README, before + BEGIN + (await record()) + END + after);
