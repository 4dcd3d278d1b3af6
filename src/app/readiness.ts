// Reports the state of each part for /readyz.

import type { Readiness } from '../http/admin/admin-listener.ts'
import type { DrainGate } from '../http/pipeline/drain-gate.ts'
import type { RulesInForce } from '../access/rules-in-force.ts'
import { placesOf, unknownUsers } from '../access/rules-report.ts'
import type { ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import { isoTime } from '../freeze/freeze-file.ts'
import type { WriteFreeze } from '../freeze/write-freeze.ts'
import type { PartStatus } from '../observability/status-snapshot.ts'
import type { PublicReason } from './status/public-reason.ts'
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
  readonly publicReason: PublicReason
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
  publicReason,
}: Parts): Promise<Readiness> {
  const shown = (part: PartStatus): PartStatus =>
    part.reason === undefined ? part : { ...part, reason: publicReason(part.reason) }
  const parts = {
    users: shown(usersState(users)),
    certificate: shown(certificateState(certificate)),
    ...(clientCa === undefined ? {} : { clientCa: shown(clientCaState(clientCa)) }),
    ...(rules === undefined ? {} : { access: shown(rulesState(rules, users)) }),
    freeze: shown(freezeState(writeFreeze)),
    upstream: await upstreamState(upstream),
    draining: drainState(gate),
  }
  return { ready: Object.values(parts).every((part) => part.ready), parts }
}

export function daysLeft({ notAfter }: { readonly notAfter: Date }, at = new Date()): number {
  return Math.floor((notAfter.getTime() - at.getTime()) / DAY_MS)
}

function drainState({ phase, inFlight }: DrainGate): PartStatus {
  return phase === 'open'
    ? { ready: true, state: 'no' }
    : { ready: false, state: 'draining', reason: `${inFlight} requests in flight` }
}

const ADD_USER = 'add a user: registry-sidecar user add NAME'
const CORRECT_FILE = 'correct the file; `registry-sidecar check` shows the problem'
const TRIED_AGAIN =
  'the content may be correct, and is tried again; the log line `file-not-loaded` has the cause'

function stale({ reason, isTransient }: Extract<Users['state'], { readonly kind: 'stale' }>): PartStatus {
  return { ready: true, state: 'stale', reason, hint: isTransient === true ? TRIED_AGAIN : CORRECT_FILE }
}

function usersState({ isLoaded, state, table }: Users): PartStatus {
  if (!isLoaded) {
    return {
      ready: false,
      state: 'missing',
      reason: 'no users are configured: the users file does not exist yet',
      hint: ADD_USER,
    }
  }
  // Stays ready, because the last good users can still log in.
  if (state.kind === 'stale') return stale(state)
  if (table.entries.size === 0)
    return { ready: true, state: 'empty', reason: 'the users file has no users', hint: ADD_USER }
  if (table.problems.length > 0) {
    // Threat: this answer needs no login, and a username is half of a login. So it names no user.
    const lines = table.problems.slice(0, MAX_LISTED).map(({ line, kind }) => `line ${line}: ${kind}`)
    const hint = 'correct these lines; `registry-sidecar user list` gives their reasons'
    return { ready: true, state: 'ok', reason: `skipped ${lines.join('; ')}`, hint }
  }
  return { ready: true, state: 'ok' }
}

const MAX_LISTED = 10

function certificateState({ origin, current, state }: CertificateInForce): PartStatus {
  const days = daysLeft(current.leaf)
  const left = origin === 'own' ? `${days} days left; provided by the operator` : `${days} days left`
  const { notBefore } = current.leaf
  // Stays ready, because the clock of this machine may be wrong.
  if (notBefore > new Date()) {
    const reason = `valid from ${notBefore.toISOString()}; check the clock of this machine`
    return { ready: true, state: 'not-yet-valid', reason, hint: 'set the clock of this machine' }
  }
  const hint = origin === 'own' ? REPLACE_CERTIFICATE : READ_LOG
  if (days < 0) return { ready: false, state: 'expired', reason: 'the leaf has expired', hint }
  if (state.kind === 'stale') return { ready: true, state: 'stale', reason: `${left}; ${state.reason}`, hint }
  return { ready: true, state: 'ok', reason: left }
}

const REPLACE_CERTIFICATE =
  'replace SIDECAR_TLS_CERT and SIDECAR_TLS_KEY; `registry-sidecar check` shows the problem'
const READ_LOG =
  'the log line `leaf-not-renewed` has the cause, often a state folder that is full or cannot be written'

// Always ready, because clients of CAs that have not expired can still connect.
function clientCaState({ current, state }: ClientCaInForce): PartStatus {
  const days = daysLeft(current)
  const hint = 'add the CA that replaces the expired CA to SIDECAR_TLS_CLIENT_CA'
  const expiry = days < 0 ? `expired at ${current.notAfter.toISOString()}` : `expires in ${days} days`
  const left = `${current.fingerprints.length} accepted; the earliest ${expiry}`
  if (state.kind === 'stale')
    return { ready: true, state: 'stale', reason: `${left}; ${state.reason}`, hint: CORRECT_FILE }
  return days < 0
    ? { ready: true, state: 'expired', reason: left, hint }
    : { ready: true, state: 'ok', reason: left }
}

function rulesState({ current: { file }, state }: RulesInForce, { isLoaded, table }: Users): PartStatus {
  if (state.kind === 'stale') return stale(state)
  const unknown = isLoaded ? unknownUsers(file, table.entries) : []
  const warning = unknown.length === 0 ? '' : `; unknown users at ${placesOf(unknown)}`
  return { ready: true, state: 'ok', reason: `${file.rules.length} rules${warning}` }
}

// Always ready, because pulls and running pushes go on.
function freezeState({ status: { freeze, runningPushes, waitingWrites }, state }: WriteFreeze): PartStatus {
  const stale = state.kind === 'stale' ? `; ${state.reason}` : ''
  if (freeze === undefined)
    return stale === ''
      ? { ready: true, state: 'no' }
      : { ready: true, state: 'stale', reason: stale.slice(2) }
  const counts = `running pushes: ${runningPushes}, waiting writes: ${waitingWrites}`
  return {
    ready: true,
    state: 'frozen',
    reason: `until ${isoTime(freeze.until)}; ${counts}${stale}`,
    hint: 'registry-sidecar thaw ends the freeze',
  }
}

async function upstreamState(upstream: Upstream): Promise<PartStatus> {
  const outcome = await upstream.probe()
  if (outcome.kind === 'answers') return { ready: true, state: 'ok' }
  const hint = 'hint' in outcome ? outcome.hint : 'start the registry; SIDECAR_UPSTREAM must be its address'
  return { ready: false, state: outcome.kind, reason: outcome.reason, hint }
}
