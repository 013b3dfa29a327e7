import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type AuthService,
  CreateOrganizationResponseSchema,
  ListOrganizationsResponseSchema,
  type Organization,
  OrganizationSchema,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { AuthContext } from '../context.ts';
import type { OrganizationRecord } from '../store/organization-store.ts';

/** Makes an organisation. */
export function createOrganization(context: AuthContext): MethodImpl<typeof AuthService.method.createOrganization> {
  return async ({ organizationId, tier }) => {
    const organization = describe(await context.organizations.create(organizationId, tier));
    return create(CreateOrganizationResponseSchema, { organization });
  };
}

/** A page of organisations. */
export function listOrganizations(context: AuthContext): MethodImpl<typeof AuthService.method.listOrganizations> {
  return async ({ pageSize, pageToken }) => {
    const { records, next } = await context.organizations.list({ limit: pageSize, after: pageToken });
    return create(ListOrganizationsResponseSchema, {
      organizations: records.map(describe),
      nextPageToken: next ?? '',
    });
  };
}

function describe({ organizationId, tier, createdAtMs }: OrganizationRecord): Organization {
  // Those of the configuration file have no such time.
  const times = createdAtMs > 0 ? { createdAt: timestampFromMs(createdAtMs) } : {};
  return create(OrganizationSchema, { organizationId, tier, ...times });
}
