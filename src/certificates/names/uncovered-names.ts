// Logs names missing from the leaf, and clients without the root.
//
// Threat: anyone who reaches the port can cause these lines without a login.
// So the lines per day are limited, per source and in total. The lines contain only valid host names.

import { sourceOf } from '../../http/client-address.ts'
import type {
  RequestedName,
  RequestedNames,
  CertificateAlert,
} from '../../http/connections/requested-names.ts'
import type { Log } from '../../observability/log.ts'
import type { CertificateInForce } from '../certificate-in-force.ts'
import { notPermitted } from '../../pki/name-constraints.ts'
import { isCovered, parseHostName, type SubjectAltName } from '../../pki/names.ts'

export interface UncoveredNamesOptions {
  readonly certificate: Pick<CertificateInForce, 'origin' | 'current' | 'root'>
  readonly log: Log
  /** A monotonic clock, in milliseconds. */
  readonly clock?: () => number
}

// A client needs one or two names. A scan with invented names must not use up the lines for other clients.
const MAX_NAMES = 100
const MAX_NAMES_OF_A_SOURCE = 10
const MAX_SOURCES = 100

export function createUncoveredNames({
  certificate,
  log,
  clock = () => performance.now(),
}: UncoveredNamesOptions): RequestedNames {
  const nameLines = createOncePerDay({ clock, max: MAX_NAMES, maxOfASource: MAX_NAMES_OF_A_SOURCE })
  const distrustLines = createOncePerDay({ clock, max: MAX_SOURCES, maxOfASource: 1 })

  return {
    requested(requested) {
      const name = nameOf(requested)
      if (name !== undefined && !isInLeaf(name)) logName(requested, name)
    },
    refused(requested, alert) {
      const name = nameOf(requested)
      const isWrongName = name !== undefined && !isInLeaf(name)
      if (isWrongName) logName(requested, name)
      // Go sends the same alert for all problems. If the name is right, the problem must be the root.
      if (!isWrongName || alert === 'unknown ca') logDistrust(requested, name, alert)
    },
  }

  function isInLeaf(name: SubjectAltName): boolean {
    return isCovered(name, certificate.current.leaf.subjectAltNames)
  }

  function logName({ address, by }: RequestedName, name: SubjectAltName): void {
    const turn = nameLines.turn(`${name.type}:${name.value}`, sourceOf(address))
    if (turn === 'logged') return
    if (turn === 'first too many') log.warn({ event: 'more-names-not-covered' }, MORE_NAMES)
    else
      log.warn(
        { event: 'name-not-covered', address, name: name.value, by, hint: nameHint(name, certificate) },
        NOT_COVERED,
      )
  }

  function logDistrust(
    requested: RequestedName,
    name: SubjectAltName | undefined,
    alert: CertificateAlert,
  ): void {
    const { address, by } = requested
    const source = sourceOf(address)
    const turn = distrustLines.turn(source, source)
    if (turn === 'logged') return
    if (turn === 'first too many') log.warn({ event: 'more-certificates-refused' }, MORE_DISTRUST)
    else
      log.warn(
        {
          event: 'certificate-refused',
          address,
          name: name?.value,
          by,
          alert,
          hint: trustHint(requested, alert, certificate),
        },
        DISTRUST,
      )
  }
}

const NOT_COVERED = 'a client uses a name that the leaf does not cover'
const MORE_NAMES = 'clients use further names that the leaf does not cover; they are not logged today'
const DISTRUST = 'a client refused the certificate: the client does not seem to trust the root'
const MORE_DISTRUST = 'further clients refused the certificate; they are not logged today'

// Undefined for texts that the leaf can never cover: wildcards, addresses with a zone, nonsense.
function nameOf({ name }: RequestedName): SubjectAltName | undefined {
  const parsed = parseHostName(name)
  return parsed.ok && !parsed.name.value.startsWith('*') ? parsed.name : undefined
}

type Certificate = UncoveredNamesOptions['certificate']

function nameHint(name: SubjectAltName, { origin, root }: Certificate): string {
  if (origin === 'own') return `request a certificate that contains ${name.value} for SIDECAR_TLS_CERT`
  const add = `add ${name.value} to SIDECAR_HOSTS and start again`
  if (notPermitted([name], root?.permitted).length === 0) return add
  return `${add} with an empty state folder, because the root is not valid for that name (SIDECAR_CA_CONSTRAIN)`
}

function trustHint(
  { by, name }: RequestedName,
  alert: CertificateAlert,
  { origin, root }: Certificate,
): string {
  const trust =
    root === undefined
      ? 'make it trust the root of SIDECAR_TLS_CERT, and check that this file also contains the intermediate certificates'
      : 'make it trust the root: `registry-sidecar trust` shows how, and /-/ca.crt contains it'
  // Without a name in the handshake we know only the address where the connection arrived.
  if (by !== 'address' || alert === 'unknown ca') return trust
  const add =
    origin === 'own' ? 'request a certificate with that address' : 'add that address to SIDECAR_HOSTS'
  return `${trust}; or, if it dials an address other than ${name}, ${add}`
}

const DAY_MS = 86_400_000

interface OncePerDay {
  /** `first`: log this key. `first too many`: log that a limit is reached. `logged`: log nothing. */
  turn(key: string, source: string): 'first' | 'first too many' | 'logged'
}

function createOncePerDay({
  clock,
  max,
  maxOfASource,
}: {
  readonly clock: () => number
  readonly max: number
  readonly maxOfASource: number
}): OncePerDay {
  const logged = new Set<string>()
  const bySource = new Map<string, number>()
  let isOverflowLogged = false
  let since = clock()

  function forgetAfterADay(): void {
    if (clock() - since < DAY_MS) return
    logged.clear()
    bySource.clear()
    isOverflowLogged = false
    since = clock()
  }

  return {
    turn(key, source) {
      forgetAfterADay()
      if (logged.has(key)) return 'logged'
      const ofSource = bySource.get(source) ?? 0
      if (logged.size < max && ofSource < maxOfASource) {
        logged.add(key)
        bySource.set(source, ofSource + 1)
        return 'first'
      }
      if (isOverflowLogged) return 'logged'
      isOverflowLogged = true
      return 'first too many'
    },
  }
}
