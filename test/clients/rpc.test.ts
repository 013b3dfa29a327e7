import { nearClients } from './clients.ts';
import { describeClients } from './table.ts';

// Those that every machine can run that runs the tests; `npm run test:clients` runs the others.
describeClients(nearClients());
