// Asks the admin address for the live status.

import { proofOf } from '../../auth/status-proof.ts'
import { readStatusKey } from '../../certificates/state-folder/status-key-file.ts'
import { CommandError, errorCode, InvalidFileError } from '../../errors/errors.ts'
import type { StatusSnapshot } from '../../observability/status-snapshot.ts'
import { askAdminAddress, type AdminAddress } from '../admin-address.ts'

export interface FetchedStatus {
  /** The JSON text as the sidecar sent it. */
  readonly json: string
  readonly snapshot: StatusSnapshot
  /** The reason why the snapshot has no names. */
  readonly note: string | undefined
}

export interface StatusPlace {
  readonly to: AdminAddress
  readonly stateDir: string
}

const PATH = '/status.json'

export async function fetchStatus({ to, stateDir }: StatusPlace): Promise<FetchedStatus> {
  // Read each time, because a sidecar that starts with a new state folder writes a new key.
  const key = await readKey(stateDir)
  if (key.kind === 'none') return fetchWithoutNames(to, key.reason)
  const proof = proofOf(key.key, { path: PATH, now: Date.now() })
  const answer = await askAdminAddress(to, { path: PATH, headers: { authorization: `Bearer ${proof}` } })
  if (answer.status === 401) return fetchWithoutNames(to, `the key in ${stateDir} belongs to another sidecar`)
  return parse(to, answer, undefined)
}

async function fetchWithoutNames(to: AdminAddress, note: string): Promise<FetchedStatus> {
  return parse(to, await askAdminAddress(to, { path: PATH }), note)
}

function parse(
  { hostname, port }: AdminAddress,
  { status, body }: { readonly status: number; readonly body: string },
  note: string | undefined,
): FetchedStatus {
  if (status !== 200)
    throw new CommandError(`${hostname}:${port} answers ${status}; is it a sidecar of this version?`)
  return { json: body, snapshot: JSON.parse(body) as StatusSnapshot, note }
}

type Key = { readonly kind: 'key'; readonly key: string } | { readonly kind: 'none'; readonly reason: string }

async function readKey(stateDir: string): Promise<Key> {
  try {
    const key = await readStatusKey(stateDir)
    return key === undefined
      ? {
          kind: 'none',
          reason: `${stateDir} has no status.key; set SIDECAR_STATE_DIR to the state folder of the sidecar`,
        }
      : { kind: 'key', key }
  } catch (error) {
    if (!(error instanceof InvalidFileError)) throw error
    const denied = ['EACCES', 'EPERM'].includes(errorCode(error.cause) ?? '')
    const reason = denied ? 'run top as the user of the sidecar' : error.reason
    return { kind: 'none', reason: `${error.file} cannot be read; ${reason}` }
  }
}
