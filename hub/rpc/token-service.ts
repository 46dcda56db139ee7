// TokenService: tokens that clients show to a unit's spokes.

import type { TokenService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { UnitTokens } from '../unit/unit-tokens.ts';
import { encodeToken, readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

export function tokenService(tokens: UnitTokens): OperatorHandlers<typeof TokenService> {
  return {
    async createToken({ unit, principal, groups, ttlS }, { operator }) {
      const created = await tokens.create({ unit, principal, groups, ttlS: Number(ttlS), by: operator.name });
      return { token: encodeToken(created.token), secret: created.secret };
    },
    async revokeToken({ id }, { operator }) {
      return { token: encodeToken(await tokens.revoke(id, operator.name)) };
    },
    async listTokens({ unit, page }) {
      const { tokens: found, nextCursor } = await tokens.list(unit, readPage(page));
      return { tokens: found.map(encodeToken), nextCursor };
    },
  };
}
