// Removes all names from a status snapshot.

import type { Names, StatusSnapshot } from './status-snapshot.ts'

/** Threat: the admin address needs no login, so it gets no name of a user, repository, address or file. */
export function withoutNames(snapshot: StatusSnapshot): StatusSnapshot {
  return {
    ...snapshot,
    transfers: snapshot.transfers.map(unnamed),
    operations: snapshot.operations.map(unnamed),
    refusals: snapshot.refusals.map(unnamed),
    changes: snapshot.changes.map(unnamed),
    users: undefined,
  }
}

function unnamed<T extends { readonly names?: Names }>(item: T): T {
  const copy: { names?: Names } & T = { ...item }
  delete copy.names
  return copy
}
