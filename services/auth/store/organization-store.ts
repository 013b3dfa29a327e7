/** What is kept of an organisation. */
export interface OrganizationRecord {
  readonly organizationId: string;
  /** The tier of its new keys and users. */
  readonly tier: string;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
}

/** Which organisations to list. */
export interface OrganizationQuery {
  /** 1 or more. */
  readonly limit: number;
  /** `next` of the page before. Unset: from the start. */
  readonly after?: string | undefined;
}

/** Organisations by the bytes of their ids. */
export interface OrganizationPage {
  readonly records: readonly OrganizationRecord[];
  /** Continues after this page; unset: it was the last. */
  readonly next?: string | undefined;
}

/** Organisations. Every method rejects with MeshError STORE_UNAVAILABLE when the store does not answer. */
export interface OrganizationStore {
  find(organizationId: string): Promise<OrganizationRecord | undefined>;
  /** Adds one. Adding the same record again changes nothing. Resolves to false when another has the id. */
  add(record: OrganizationRecord): Promise<boolean>;
  /** @throws MeshError INVALID_FIELD when `after` is malformed. */
  list(query: OrganizationQuery): Promise<OrganizationPage>;
}
