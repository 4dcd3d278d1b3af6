// Loads and follows the file of accepted client CAs.

import { createExpiryWarnings } from './expiry-warnings.ts'
import { warnOfMount } from './operator-file-warnings.ts'
import type { Log } from '../observability/log.ts'
import { loadAndFollow, type Following, type FollowOptions } from '../files/followed-file.ts'
import { createReloadable } from '../files/reloadable.ts'
import type { Loads, ValueState } from '../files/value-in-force.ts'
import { isSameClientCa, parseClientCa, type ClientCa } from '../pki/client-ca-set.ts'

export interface ClientCaInForce extends Following {
  readonly current: ClientCa
  readonly state: ValueState
  readonly loads: Loads
  onChange(listener: (next: ClientCa) => void): void
}

const HOUR_MS = 3_600_000
const HINT = 'add the CA that replaces it to the file, and issue client certificates under the new CA'

export interface ClientCaOptions extends FollowOptions {
  readonly clock?: () => Date
}

/** Rejects with InvalidFileError when the file is unusable, because at start there is no earlier set to keep. */
export async function loadClientCa({
  file,
  pollMs,
  log,
  clock = () => new Date(),
}: ClientCaOptions): Promise<ClientCaInForce> {
  const logLeftOut = createLeftOutLog(file, log)
  const warnings = createExpiryWarnings({ file, clock, log, hint: HINT, subject: 'a client CA' })
  const authorities = createReloadable<ClientCa | undefined>({
    file,
    parse: (bytes) => {
      const parsed = parseClientCa(bytes.toString(), { file, now: clock() })
      logLeftOut(parsed)
      return parsed
    },
    initial: undefined,
    isSame: (one, other) => one !== undefined && other !== undefined && isSameClientCa(one, other),
    log,
    logChange: (next) => {
      logAuthorities(log, file, loaded(next))
      warn()
    },
  })
  const following = await loadAndFollow(authorities, { file, pollMs, log })
  const hourly = setInterval(warn, HOUR_MS)
  await warnOfMount(file, log, 'the client CA file')
  return {
    get current() {
      return loaded(authorities.current)
    },
    get state() {
      return authorities.state
    },
    loads: authorities.loads,
    onChange: (listener) => {
      authorities.onChange((next) => {
        listener(loaded(next))
      })
    },
    reload: () => following.reload(),
    async close() {
      clearInterval(hourly)
      await following.close()
    },
  }

  function warn(): void {
    const { notAfter, fingerprints } = loaded(authorities.current)
    warnings.look({ notAfter, fingerprint: fingerprints.join() })
  }
}

// Logs each left-out certificate only once, because a file may change often.
function createLeftOutLog(file: string, log: Log): (authorities: ClientCa) => void {
  const logged = new Set<string>()
  return ({ leftOut }) => {
    for (const { number, fingerprint, reason, hint } of leftOut) {
      if (logged.has(fingerprint)) continue
      logged.add(fingerprint)
      log.warn(
        { event: 'client-ca-left-out', file, certificate: number, fingerprint, reason, hint },
        'a certificate in the client CA file is left out',
      )
    }
  }
}

function loaded(authorities: ClientCa | undefined): ClientCa {
  if (authorities === undefined) throw new Error('the client CA file is not loaded')
  return authorities
}

const MAX_LISTED = 20

function logAuthorities(log: Log, file: string, { fingerprints, notAfter }: ClientCa): void {
  const facts = {
    event: 'client-cas-loaded' as const,
    file,
    authorities: fingerprints.length,
    fingerprints: fingerprints.slice(0, MAX_LISTED),
    notAfter,
  }
  log.info(facts, 'client certificates of these authorities are accepted')
}
