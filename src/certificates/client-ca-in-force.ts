// The authorities in force whose client certificates are accepted: a file as a value that follows it, and what the
// settings make of such a certificate.

import type { Config } from '../settings/config.ts'
import type { CertificateDemand } from '../http/connections/certificate-verdict.ts'
import type { Log } from '../observability/log.ts'
import { createExpiryWarnings } from './expiry-warnings.ts'
import { warnOfMount } from './operator-file-warnings.ts'
import { createReloadable, type FileState } from '../files/reloadable.ts'
import { follow, type Following, type FollowOptions } from '../files/followed-file.ts'
import { isAcceptedClient, isSameClientCa, parseClientCa, type ClientCa } from '../pki/client-ca-set.ts'
import { clientNameOf } from '../pki/client-name.ts'
import type { Users } from '../users/users.ts'

export interface ClientCaInForce extends Following {
  readonly current: ClientCa
  readonly state: FileState
  /** `listener` is called whenever other authorities have come into force. */
  onChange(listener: (next: ClientCa) => void): void
}

const HOUR_MS = 3_600_000
const HINT =
  'put the authority that follows it into the file beside it, and have clients get certificates of that one'

export interface ClientCaOptions extends FollowOptions {
  readonly clock?: () => Date
}

/** The authorities that the settings name, or undefined when they ask for no client certificates. */
export async function openClientCa(config: Config, log: Log): Promise<ClientCaInForce | undefined> {
  const { tlsClientCa: file, watchPoll: pollMs } = config
  return file === undefined ? undefined : loadClientCa({ file, pollMs, log })
}

/** What is asked of a client's certificate; the users are looked up at each request. */
export function certificateDemandOf(
  config: Config,
  users: Users,
  clientCa: ClientCaInForce | undefined,
): CertificateDemand | undefined {
  if (clientCa === undefined) return undefined
  return {
    mode: config.tlsClientAuth,
    nameOf: ({ raw }) => clientNameOf(raw, config.tlsClientName),
    isAccepted: (certificate) => isAcceptedClient(certificate, clientCa.current),
    isUser: (name) => users.table.entries.has(name),
  }
}

/** Rejects with InvalidFileError when the file is no good, since at start there is no last good one to live on. */
export async function loadClientCa({
  file,
  pollMs,
  log,
  clock = () => new Date(),
}: ClientCaOptions): Promise<ClientCaInForce> {
  const authorities = createReloadable<ClientCa | undefined>({
    file,
    parse: (bytes) => parseClientCa(bytes.toString(), { file, now: clock() }),
    initial: undefined,
    log,
  })
  await authorities.reload()
  let current = loaded(authorities.current)
  const listeners: ((next: ClientCa) => void)[] = []
  const leftOut = warnOfLeftOut(file, log)
  tell(log, file, current)
  leftOut.look(current)
  const warnings = warnHourly(() => current, { file, clock, log })
  authorities.onChange((next) => {
    const previous = current
    current = loaded(next)
    leftOut.look(current)
    if (isSameClientCa(previous, current)) return
    for (const listener of listeners) listener(current)
    tell(log, file, current)
    warnings.look()
  })
  await warnOfMount(file, log, 'the client CA file')
  const following = await follow(authorities, { file, pollMs, log })
  return {
    get current() {
      return current
    },
    get state() {
      return authorities.state
    },
    onChange: (listener) => {
      listeners.push(listener)
    },
    reload: () => following.reload(),
    async close() {
      warnings.close()
      await following.close()
    },
  }
}

function warnHourly(
  current: () => ClientCa,
  options: Pick<Required<ClientCaOptions>, 'file' | 'clock' | 'log'>,
) {
  const warnings = createExpiryWarnings({ ...options, hint: HINT, subject: 'a client CA' })
  const look = () => {
    const { notAfter, fingerprints } = current()
    warnings.look({ notAfter, fingerprint: fingerprints.join() })
  }
  look()
  const hourly = setInterval(look, HOUR_MS)
  return {
    look,
    close: () => {
      clearInterval(hourly)
    },
  }
}

// Once for each: every write of the file would tell it again.
function warnOfLeftOut(file: string, log: Log) {
  const told = new Set<string>()
  return {
    look({ leftOut }: ClientCa) {
      for (const { number, fingerprint, reason, hint } of leftOut) {
        if (told.has(fingerprint)) continue
        told.add(fingerprint)
        log.warn(
          { file, certificate: number, fingerprint, reason, hint },
          'a certificate in the client CA file is left out',
        )
      }
    },
  }
}

function loaded(authorities: ClientCa | undefined): ClientCa {
  if (authorities === undefined) throw new Error('the client CA was read without an outcome')
  return authorities
}

const MAX_LISTED = 20

function tell(log: Log, file: string, { fingerprints, notAfter }: ClientCa): void {
  const facts = {
    file,
    authorities: fingerprints.length,
    fingerprints: fingerprints.slice(0, MAX_LISTED),
    notAfter,
  }
  log.info(facts, 'client certificates of these authorities are accepted')
}
