/** All keys of auth. One hash tag keeps them on one node of a cluster. */
export const AUTH_KEYS = 'mesh:auth:{auth}:';

/** Hash of user name → when the user was disabled, in milliseconds since the epoch. */
export const DISABLED_USERS = `${AUTH_KEYS}disabled-users`;

/** Hash of user name → when the user was last enabled again, in milliseconds since the epoch. */
export const ENABLED_USERS = `${AUTH_KEYS}enabled-users`;
