// Leaf renewal: what is served follows the state folder, and the folder's leaf is renewed in time.
//
// Looked at when the leaf's file changes (`cert renew`, another sidecar on the same folder), when a watch finds that it
// has changed without an event, and every hour because time passes without one.

import { errorMessage } from '../errors/errors.ts'
import type { ExpiryWarnings } from './expiry-warnings.ts'
import type { Log } from '../observability/log.ts'
import { shareNextRun } from '../async/in-flight.ts'
import type { FileState } from '../files/reloadable.ts'
import { tellOfWatch } from '../files/followed-file.ts'
import { watchFile } from '../files/watch.ts'
import type { CertificateBundle, Root } from '../pki/certificate.ts'
import type { Keystore, WantedNames } from './state-folder/keystore.ts'

export interface LeafRenewal {
  /** `stale` while the leaf is due and cannot be renewed. */
  readonly state: FileState
  readonly counts: RenewalCounts
  /** Looks at the folder, and renews what is due. Never rejects: what is served stays, and it is tried again. */
  look(): Promise<void>
  /** Waits for a look under way. Afterwards nothing is watched or renewed. */
  close(): Promise<void>
}

/** Since the start. */
export interface RenewalCounts {
  /** How often another certificate came into force. */
  readonly renewed: number
  /** How often that failed, and the one in force stayed. */
  readonly failed: number
}

export interface Timetable {
  readonly now: () => Date
  /** Calls back once, so many milliseconds later. Returns the way to call it off. */
  readonly after: (delayMs: number, callback: () => void) => () => void
}

export interface LeafRenewalOptions {
  readonly keystore: Keystore
  readonly names: WantedNames
  readonly serve: (bundle: CertificateBundle) => void
  readonly warnings: ExpiryWarnings
  /** Called at the end of each look, and waited for. Must not reject. */
  readonly afterLook?: () => Promise<void>
  readonly pollMs: number | 'off'
  readonly log: Log
  readonly timetable?: Timetable
}

// A leaf lives 90 days; an hour late is early enough.
const LOOK_EVERY_MS = 3_600_000

// What stands in the way is over in seconds (a lock) or when somebody has fixed it (a full disk): soon at first, then
// ever more rarely, since each attempt is a line in the log.
const FIRST_RETRY_MS = 5_000

/** Begins to look, and resolves when it has looked once and changes of the folder are noticed. Never rejects. */
export async function keepLeafRenewed(options: LeafRenewalOptions): Promise<LeafRenewal> {
  const { keystore, names, serve, warnings, afterLook, pollMs, log, timetable = SYSTEM_TIMETABLE } = options
  const file = keystore.leafFile
  const standing = createStanding(log)
  let served = inForceIn(keystore)
  const counts = { renewed: 0, failed: 0 }
  let isClosed = false
  let callOff: () => void = () => undefined
  const look = shareNextRun(lookOnce)
  const watch = watchFile(file, {
    pollMs,
    onSettled: look,
    onError: tellOfWatch(file, log),
  })
  await watch.ready

  return {
    get state() {
      return standing.state
    },
    counts,
    look,
    async close() {
      isClosed = true
      callOff()
      await watch.close()
      await look()
    },
  }

  async function lookOnce(): Promise<void> {
    if (isClosed) return
    callOff()
    const nextInMs = await renew()
    warnings.look(served.bundle.leaf)
    await afterLook?.()
    lookAgainIn(nextInMs)
  }

  function lookAgainIn(delayMs: number): void {
    if (!isClosed) callOff = timetable.after(delayMs, () => void look())
  }

  async function renew(): Promise<number> {
    try {
      await keystore.renewIfDue(names, timetable.now())
      publish()
      return standing.recovered()
    } catch (error) {
      counts.failed += 1
      return standing.fail(error, served.bundle)
    }
  }

  // Asked of what is served and not of what was just renewed: one that could not be served is tried again.
  function publish(): void {
    const next = inForceIn(keystore)
    if (next.bundle === served.bundle) return
    serve(next.bundle)
    tellOfRenewal(log, served, next)
    served = next
    counts.renewed += 1
  }
}

interface InForce {
  readonly bundle: CertificateBundle
  readonly root: Root
}

function inForceIn({ bundle, root }: Keystore): InForce {
  return { bundle, root }
}

const ROOT_RENEWED =
  'root renewed: have clients trust it before the earlier one ends, when those that know no other are lost'

function tellOfRenewal(log: Log, before: InForce, { bundle, root }: InForce): void {
  const isSameRoot = before.root.fingerprint === root.fingerprint
  if (!isSameRoot) {
    const earlier = { fingerprint: before.root.fingerprint, notAfter: before.root.notAfter }
    log.info({ fingerprint: root.fingerprint, notAfter: root.notAfter, earlier }, ROOT_RENEWED)
  }
  const { fingerprint, notAfter } = bundle.leaf
  const under = isSameRoot ? 'the same root' : 'the new root'
  log.info({ fingerprint, notAfter }, `leaf renewed under ${under}: new connections get it`)
}

interface Standing {
  readonly state: FileState
  /** Both return after how many milliseconds to look again. */
  readonly recovered: () => number
  readonly fail: (error: unknown, served: CertificateBundle) => number
}

function createStanding(log: Log): Standing {
  let failures = 0
  let state: FileState = { kind: 'fresh' }

  return {
    get state() {
      return state
    },
    recovered() {
      failures = 0
      state = { kind: 'fresh' }
      return LOOK_EVERY_MS
    },
    fail(error, { leaf: { notAfter } }) {
      const retryInMs = Math.min(FIRST_RETRY_MS * 2 ** failures++, LOOK_EVERY_MS)
      state = { kind: 'stale', reason: `not renewed: ${errorMessage(error)}` }
      log.error({ err: error, notAfter, retryInMs }, 'leaf not renewed, the old one stays')
      return retryInMs
    },
  }
}

export const SYSTEM_TIMETABLE: Timetable = {
  now: () => new Date(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return () => {
      clearTimeout(timer)
    }
  },
}
