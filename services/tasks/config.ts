import { z } from 'zod';

/** The section `tasks` of the configuration file. Empty until tasks are implemented. */
export const tasksConfigSchema = z.strictObject({});

/** The validated section `tasks`. */
export type TasksConfig = z.output<typeof tasksConfigSchema>;
