import { expect, test } from 'vitest';
import { CLIENT_NAMES } from './clients.ts';
import { clientsPage, documentedTable } from './documented.ts';
import { BEHAVIOUR_NAMES } from './table.ts';

test('docs/clients.md tells of every client what the tests make it do', () => {
  const table = documentedTable(clientsPage(), 'What all of them do');
  expect([...table.keys()]).toEqual(BEHAVIOUR_NAMES);
  for (const cells of table.values()) expect(Object.keys(cells)).toEqual([...CLIENT_NAMES]);
});
