import type { Conversation } from './conversation.ts';

/** What a line that begins with "/" leads to. */
export type SlashOutcome =
  | { readonly kind: 'say'; readonly lines: readonly string[] }
  /** Ask this again. */
  | { readonly kind: 'ask'; readonly text: string }
  | { readonly kind: 'models' }
  | { readonly kind: 'leave' };

const COMMANDS: Readonly<Record<string, string>> = {
  '/help': 'what there is',
  '/new': 'begin anew',
  '/model': 'tell the model, or talk with another: /model <name>',
  '/models': 'the models that there are',
  '/system': 'tell how the model is to behave, or change it: /system <text>',
  '/retry': 'ask the last question again',
  '/history': 'what was said',
  '/exit': 'leave; Ctrl-D does too',
};

/** The commands that begin so, for completion. */
export function completions(line: string): string[] {
  return line.startsWith('/') ? Object.keys(COMMANDS).filter((name) => name.startsWith(line)) : [];
}

/** Carries out a line that begins with "/". */
export function slashCommand(line: string, conversation: Conversation): SlashOutcome {
  const [name = '', ...rest] = line.trim().split(/\s+/);
  const text = rest.join(' ');
  switch (name) {
    case '/help':
      return say(
        ...Object.entries(COMMANDS).map(([command, meaning]) => `${command.padEnd(10)} ${meaning}`),
        'A line that ends with \\ goes on in the next one.',
      );
    case '/new':
      conversation.clear();
      return say('a new conversation');
    case '/model':
      if (text !== '') conversation.model = text;
      return say(`model: ${conversation.model || 'the default one'}`);
    case '/models':
      return { kind: 'models' };
    case '/system':
      if (text !== '') conversation.system = text;
      return say(`system: ${conversation.system || '(none)'}`);
    case '/retry': {
      const question = conversation.takeBack();
      return question === undefined ? say('nothing was asked yet') : { kind: 'ask', text: question };
    }
    case '/history':
      return say(...conversation.lines().map(({ who, text: said }) => `${who}: ${said}`));
    case '/exit':
    case '/quit':
    case '/bye':
      return { kind: 'leave' };
    default:
      return say('no such command; /help tells what there is');
  }
}

function say(...lines: string[]): SlashOutcome {
  return { kind: 'say', lines };
}
