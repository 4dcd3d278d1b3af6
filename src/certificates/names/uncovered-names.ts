// Tells in the log which names clients use that the leaf does not cover, and which clients do not trust the root.
//
// Those who need these lines cannot log in yet, so anybody who reaches the port can cause them. Their number is
// limited by the day, for each source and for all, and nothing of what a client sent is in them unless it is a host
// name: no line can be forged, and no log filled.

import { sourceOf } from '../../auth/source.ts'
import type { AskedName, AskedNames, CertificateAlert } from '../../http/connections/requested-names.ts'
import type { Log } from '../../observability/log.ts'
import type { CertificateInForce } from '../certificate-in-force.ts'
import { notPermitted } from '../../pki/name-constraints.ts'
import { isCovered, parseHostName, type SubjectAltName } from '../../pki/names.ts'

export interface UncoveredNamesOptions {
  readonly certificate: Pick<CertificateInForce, 'origin' | 'current' | 'root'>
  readonly log: Log
  /** In milliseconds, from wherever. */
  readonly clock?: () => number
}

// One client needs a name or two. A scan of made-up names must not use up what is there for the others.
const MAX_NAMES = 100
const MAX_NAMES_OF_A_SOURCE = 10
const MAX_SOURCES = 100

export function createUncoveredNames({
  certificate,
  log,
  clock = () => performance.now(),
}: UncoveredNamesOptions): AskedNames {
  const names = createOncePerDay({ clock, max: MAX_NAMES, maxOfASource: MAX_NAMES_OF_A_SOURCE })
  const distrust = createOncePerDay({ clock, max: MAX_SOURCES, maxOfASource: 1 })

  return {
    asked(asked) {
      const name = nameOf(asked)
      if (name !== undefined && !isInLeaf(name)) tellName(asked, name)
    },
    refused(asked, alert) {
      const name = nameOf(asked)
      const isWrongName = name !== undefined && !isInLeaf(name)
      if (isWrongName) tellName(asked, name)
      // Go has one alert for everything; only where the name is right it must be the root.
      if (!isWrongName || alert === 'unknown ca') tellDistrust(asked, name, alert)
    },
  }

  function isInLeaf(name: SubjectAltName): boolean {
    return isCovered(name, certificate.current.leaf.subjectAltNames)
  }

  function tellName({ address, by }: AskedName, name: SubjectAltName): void {
    const turn = names.turn(`${name.type}:${name.value}`, sourceOf(address))
    if (turn === 'told') return
    if (turn === 'first too many') log.warn(MORE_NAMES)
    else log.warn({ address, name: name.value, by, hint: mendOfName(name, certificate) }, NOT_COVERED)
  }

  function tellDistrust(asked: AskedName, name: SubjectAltName | undefined, alert: CertificateAlert): void {
    const { address, by } = asked
    const source = sourceOf(address)
    const turn = distrust.turn(source, source)
    if (turn === 'told') return
    if (turn === 'first too many') log.warn(MORE_DISTRUST)
    else
      log.warn(
        { address, name: name?.value, by, alert, hint: mendOfDistrust(asked, alert, certificate) },
        DISTRUST,
      )
  }
}

const NOT_COVERED = 'a client uses a name that the leaf does not cover'
const MORE_NAMES = 'clients use more names that the leaf does not cover than are listed today'
const DISTRUST = 'a client refused the certificate: it does not seem to trust its root'
const MORE_DISTRUST = 'more clients refused the certificate than are listed today'

// What nobody can ask a certificate for is of no use to anybody: a wildcard, an address with a zone, plain nonsense.
function nameOf({ name }: AskedName): SubjectAltName | undefined {
  const parsed = parseHostName(name)
  return parsed.ok && !parsed.name.value.startsWith('*') ? parsed.name : undefined
}

type Certificate = UncoveredNamesOptions['certificate']

function mendOfName(name: SubjectAltName, { origin, root }: Certificate): string {
  if (origin === 'own') return `have the certificate of SIDECAR_TLS_CERT issued anew with ${name.value} in it`
  const add = `add ${name.value} to SIDECAR_HOSTS and start again`
  if (notPermitted([name], root?.permitted).length === 0) return add
  return `${add}; its root may not vouch for that name (SIDECAR_CA_CONSTRAIN), so also begin again with an empty state folder`
}

function mendOfDistrust(
  { by, name }: AskedName,
  alert: CertificateAlert,
  { origin, root }: Certificate,
): string {
  const trust =
    root === undefined
      ? 'have it trust the root of SIDECAR_TLS_CERT, and see that this file holds the intermediate certificates too'
      : 'have it trust the root: `registry-sidecar trust` says how, and /-/ca.crt hands it out'
  // Without a name in the handshake we know the address that the connection arrived at, not the one that was dialed.
  if (by !== 'address' || alert === 'unknown ca') return trust
  const add = origin === 'own' ? 'have SIDECAR_TLS_CERT issued with that' : 'add that to SIDECAR_HOSTS'
  return `${trust}; or, if it dials an address other than ${name}, ${add}`
}

const DAY_MS = 86_400_000

interface OncePerDay {
  /** Whether this is to be told: once a day, unless there were too many. That is to be told once, too. */
  turn(key: string, source: string): 'first' | 'first too many' | 'told'
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
  const told = new Set<string>()
  const bySource = new Map<string, number>()
  let isMoreTold = false
  let since = clock()

  function forgetAfterADay(): void {
    if (clock() - since < DAY_MS) return
    told.clear()
    bySource.clear()
    isMoreTold = false
    since = clock()
  }

  return {
    turn(key, source) {
      forgetAfterADay()
      if (told.has(key)) return 'told'
      const ofSource = bySource.get(source) ?? 0
      if (told.size < max && ofSource < maxOfASource) {
        told.add(key)
        bySource.set(source, ofSource + 1)
        return 'first'
      }
      if (isMoreTold) return 'told'
      isMoreTold = true
      return 'first too many'
    },
  }
}
