/** All keys of auth. One hash tag keeps them on one node of a cluster. */
export const AUTH_KEYS = 'mesh:auth:{auth}:';

/** Hash of user name → when the user was disabled, in milliseconds since the epoch. */
export const DISABLED_USERS = `${AUTH_KEYS}disabled-users`;
