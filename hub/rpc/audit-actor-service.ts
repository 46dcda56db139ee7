// AuditActorService: forgets who is behind a pseudonym.

import type { AuditActorService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import type { Actors } from '../audit/actors.ts';
import type { OperatorHandlers } from './handler.ts';

export function auditActorService(actors: Pick<Actors, 'erase'>): OperatorHandlers<typeof AuditActorService> {
  return {
    async eraseActor({ unit, actor }, { operator }) {
      const { pseudonyms } = await actors.erase(unit, actor, operator.name);
      return { actors: [...pseudonyms] };
    },
  };
}
