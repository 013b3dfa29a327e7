// Stands in for a mesh process in tests of devices that several meshes want. `argv[2]` is PATH, `argv[3]` the directory of
// the claims. Each line on standard input is a command, answered by one line of JSON:
//   book   books one whole device → {"booked":"<mark>"} or {"refused":"<why>"}
//   engine starts a process under the mark of that booking, without a guard → {"processId":1}
//   free   releases the booking → {}
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import pino from 'pino';
import { type Booking, createDeviceBook } from '../../services/inference/devices/device-book.ts';
import { MARK_VARIABLE } from '../../services/inference/supervisor/process-table.ts';

const variables: Readonly<Record<string, string | undefined>> = {
  PATH: process.argv[2],
  MESH_DEVICE_CLAIMS_DIR: process.argv[3],
};
const book = createDeviceBook({
  devices: 'auto',
  environmentVariable: (name) => variables[name],
  ownProcesses: () => new Map(),
  log: pino({ level: 'silent' }),
});
const claim = { kind: 'bytes', bytes: 1024 ** 3 } as const;
const demand = { count: 1, claim, neededBytes: claim.bytes, shares: false, fallsBackToCpu: false };
let booking: Booking | undefined;

async function answer(command: string): Promise<object> {
  if (command === 'book') {
    const outcome = await book.book('chat', demand);
    if ('refused' in outcome) return { refused: outcome.why };
    booking = outcome;
    return { booked: outcome.mark };
  }
  if (!booking) throw new Error(`nothing is booked for '${command}'`);
  if (command === 'engine') {
    const env = { PATH: process.env.PATH, [MARK_VARIABLE]: booking.mark };
    return { processId: spawn('sleep', ['600'], { detached: true, env, stdio: 'ignore' }).pid };
  }
  book.release(booking);
  return {};
}

for await (const command of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(command))}\n`);
}
