import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { type AuthService, CreateOrganizationResponseSchema } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { AuthContext } from '../context.ts';

/** Makes an organisation. */
export function createOrganization(context: AuthContext): MethodImpl<typeof AuthService.method.createOrganization> {
  return async (request) => {
    const { organizationId, tier, createdAtMs } = await context.organizations.create(
      request.organizationId,
      request.tier,
    );
    return create(CreateOrganizationResponseSchema, {
      organization: { organizationId, tier, createdAt: timestampFromMs(createdAtMs) },
    });
  };
}
