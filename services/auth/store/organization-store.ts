/** What is kept of an organisation. */
export interface OrganizationRecord {
  readonly organizationId: string;
  /** The tier of its new keys and users. */
  readonly tier: string;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
}

/** Organisations. Every method rejects with MeshError STORE_UNAVAILABLE when the store does not answer. */
export interface OrganizationStore {
  find(organizationId: string): Promise<OrganizationRecord | undefined>;
  /** Adds one. Adding the same record again changes nothing. Resolves to false when another has the id. */
  add(record: OrganizationRecord): Promise<boolean>;
}
