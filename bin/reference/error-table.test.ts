import { expect, test } from 'vitest';
import { errorTable } from './error-table.ts';

test('errors of a comment become a table, and the rest stays text', () => {
  const comment = [
    'Generate runs one. Needs scope `generate`.',
    '',
    'Errors:',
    '  UNAUTHENTICATED / CREDENTIAL_MISSING, CREDENTIAL_INVALID – send a key.',
    '  PERMISSION_DENIED / PEER_ONLY – acting for a caller, or the signature does',
    '    not hold – give both the same token.',
    '  Errors of a generation travel inside.',
  ].join('\n');
  expect(errorTable(comment)).toEqual({
    text: 'Generate runs one. Needs scope `generate`.',
    errors: [
      [
        '| Code | Reason | When, and what to do |',
        '|---|---|---|',
        '| `UNAUTHENTICATED` | `CREDENTIAL_MISSING`, `CREDENTIAL_INVALID` | send a key. |',
        '| `PERMISSION_DENIED` | `PEER_ONLY` | acting for a caller, or the signature does not hold – give both the same token. |',
      ].join('\n'),
      'Errors: Errors of a generation travel inside.',
    ],
  });
});

test('a comment without errors is text', () => {
  expect(errorTable('Embed turns texts into vectors.')).toEqual({
    text: 'Embed turns texts into vectors.',
    errors: [],
  });
});
