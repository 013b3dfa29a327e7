import { farClients } from './clients.ts';
import { describeClients } from './table.ts';

// Clients whose compilers and packages not every machine has.
describeClients(farClients());
