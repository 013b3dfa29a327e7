/** The parts of the mesh, in the order in which they start. */
export const ROLES = ['auth', 'quota', 'router', 'inference', 'tasks', 'facade'] as const;

/** A part of the mesh that runs in this process or in another one. */
export type Role = (typeof ROLES)[number];

/** Who keeps things in the store. */
export const KEEPERS = ['auth', 'quota', 'tasks'] as const satisfies Role[];

/** Whether it is one of them. */
export const isKeeper = (role: Role): boolean => KEEPERS.some((keeper) => keeper === role);
