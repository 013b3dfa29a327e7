import { hash as bcrypt } from '@node-rs/bcrypt';
import { expect, test } from 'vitest';
import { requireOwnPasswords } from './default-passwords.ts';
import { createHashQueue } from './hash-queue.ts';
import { createPasswords } from './password.ts';

test('default passwords and names are found behind hashes of both kinds, others are not', async () => {
  const { hash } = createPasswords(createHashQueue({ running: 1, waiting: 1 }));
  const ann = { name: 'ann', passwordHash: await bcrypt('correct horse battery', 4) };
  const eve = { name: 'eve', passwordHash: await hash('admin123!') };
  await requireOwnPasswords([ann, eve]);
  const root = { name: 'root', passwordHash: await bcrypt('admin123', 4) };
  await expect(requireOwnPasswords([ann, root])).rejects.toThrow(/^user 'root' has a password that everybody knows/);
  const bob = { name: 'bob', passwordHash: await hash('bob') };
  await expect(requireOwnPasswords([bob])).rejects.toThrow(/^user 'bob'/);
});
