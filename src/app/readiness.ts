// Reports the state of each part for /readyz.

import type { PartState, Readiness } from '../http/admin/admin-listener.ts'
import type { DrainGate } from '../http/pipeline/drain-gate.ts'
import type { RulesInForce } from '../access/rules-in-force.ts'
import { placesOf, unknownUsers } from '../access/rules-report.ts'
import type { ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import { isoTime } from '../freeze/freeze-file.ts'
import type { WriteFreeze } from '../freeze/write-freeze.ts'
import type { LeafFacts } from '../pki/certificate.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Users } from '../users/users.ts'

export interface Parts {
  readonly users: Users
  readonly certificate: CertificateInForce
  readonly clientCa?: ClientCaInForce | undefined
  readonly rules?: RulesInForce | undefined
  readonly writeFreeze: WriteFreeze
  readonly upstream: Upstream
  readonly gate: DrainGate
}

const DAY_MS = 86_400_000

export async function readinessOf({
  users,
  certificate,
  clientCa,
  rules,
  writeFreeze,
  upstream,
  gate,
}: Parts): Promise<Readiness> {
  const parts = {
    users: usersState(users),
    certificate: certificateState(certificate),
    ...(clientCa === undefined ? {} : { clientCa: clientCaState(clientCa) }),
    ...(rules === undefined ? {} : { access: rulesState(rules, users) }),
    freeze: freezeState(writeFreeze),
    upstream: await upstreamState(upstream),
    draining: drainState(gate),
  }
  return { ready: Object.values(parts).every((part) => part.ready), parts }
}

export function leafDaysLeft({ notAfter }: Pick<LeafFacts, 'notAfter'>, at = new Date()): number {
  return Math.floor((notAfter.getTime() - at.getTime()) / DAY_MS)
}

function drainState({ phase, inFlight }: DrainGate): PartState {
  return phase === 'open'
    ? { ready: true, state: 'no' }
    : { ready: false, state: 'draining', reason: `${inFlight} requests in flight` }
}

function usersState({ file, isLoaded, state, table }: Users): PartState {
  if (!isLoaded) {
    return { ready: false, state: 'missing', reason: `no users are configured: ${file} does not exist yet` }
  }
  // Stays ready, because the last good users can still log in.
  if (state.kind === 'stale') return { ready: true, state: 'stale', reason: state.reason }
  if (table.entries.size === 0) return { ready: true, state: 'empty', reason: 'the users file has no users' }
  if (table.problems.length > 0) {
    // Threat: this answer needs no login, and a username is half of a login. So it names no user.
    const lines = table.problems.slice(0, MAX_LISTED).map(({ line, kind }) => `line ${line}: ${kind}`)
    return { ready: true, state: 'ok', reason: `skipped ${lines.join('; ')}` }
  }
  return { ready: true, state: 'ok' }
}

const MAX_LISTED = 10

function certificateState({ origin, current, state }: CertificateInForce): PartState {
  const days = leafDaysLeft(current.leaf)
  const left = origin === 'own' ? `${days} days left; provided by the operator` : `${days} days left`
  const { notBefore } = current.leaf
  // Stays ready, because the clock of this machine may be wrong.
  if (notBefore > new Date()) {
    return {
      ready: true,
      state: 'not-yet-valid',
      reason: `valid from ${notBefore.toISOString()}; check the clock of this machine`,
    }
  }
  if (days < 0) return { ready: false, state: 'expired', reason: 'the leaf has expired' }
  if (state.kind === 'stale') return { ready: true, state: 'stale', reason: `${left}; ${state.reason}` }
  return { ready: true, state: 'ok', reason: left }
}

// Always ready, because clients of CAs that have not expired can still connect.
function clientCaState({ current, state }: ClientCaInForce): PartState {
  const days = leafDaysLeft(current)
  const expiry = days < 0 ? `expired at ${current.notAfter.toISOString()}` : `expires in ${days} days`
  const left = `${current.fingerprints.length} accepted; the earliest ${expiry}`
  if (state.kind === 'stale') return { ready: true, state: 'stale', reason: `${left}; ${state.reason}` }
  return { ready: true, state: days < 0 ? 'expired' : 'ok', reason: left }
}

function rulesState({ current: { file }, state }: RulesInForce, { isLoaded, table }: Users): PartState {
  if (state.kind === 'stale') return { ready: true, state: 'stale', reason: state.reason }
  const unknown = isLoaded ? unknownUsers(file, table.entries) : []
  const warning = unknown.length === 0 ? '' : `; users who are in no users file at ${placesOf(unknown)}`
  return { ready: true, state: 'ok', reason: `${file.rules.length} rules${warning}` }
}

// Always ready, because pulls and running pushes go on.
function freezeState({ status: { freeze, runningPushes, waitingWrites }, state }: WriteFreeze): PartState {
  const stale = state.kind === 'stale' ? `; ${state.reason}` : ''
  if (freeze === undefined)
    return stale === ''
      ? { ready: true, state: 'no' }
      : { ready: true, state: 'stale', reason: stale.slice(2) }
  const counts = `running pushes: ${runningPushes}, waiting writes: ${waitingWrites}`
  return { ready: true, state: 'frozen', reason: `until ${isoTime(freeze.until)}; ${counts}${stale}` }
}

async function upstreamState(upstream: Upstream): Promise<PartState> {
  const outcome = await upstream.probe()
  return outcome.kind === 'answers'
    ? { ready: true, state: 'ok' }
    : { ready: false, state: outcome.kind, reason: outcome.reason }
}
