import type { ConnectRouter } from '@connectrpc/connect';

/** What a service exports: it registers its handlers. */
export type Routes = (router: ConnectRouter) => void;
