// Keeps the issued leaf renewed, and serves what the state folder contains.
//
// Reads the folder when leaf.crt or a shared root.crt changes, and every hour, because no event says that a renewal is
// due.

import { errorMessage, NotAppliedError } from '../errors/errors.ts'
import type { ExpiryWarnings } from './expiry-warnings.ts'
import type { Log } from '../observability/log.ts'
import { SYSTEM_TIMETABLE, type Timetable } from '../async/timetable.ts'
import { shareNextRun } from '../async/in-flight.ts'
import { logWatchErrors } from '../files/followed-file.ts'
import { createValueInForce, type InForce } from '../files/value-in-force.ts'
import { watchFile, type FileWatch } from '../files/watch.ts'
import type { CertificateBundle, Root } from '../pki/certificate.ts'
import type { Keystore, WantedNames } from './state-folder/keystore.ts'

export interface IssuedBundle {
  readonly bundle: CertificateBundle
  readonly root: Root
}

export interface LeafRenewal {
  /** `stale` while a renewal of the leaf is due but fails. */
  readonly value: InForce<IssuedBundle>
  /** Never rejects: after a failure it tries again later. */
  look(): Promise<void>
  close(): Promise<void>
}

export interface LeafRenewalOptions {
  readonly keystore: Keystore
  readonly names: WantedNames
  readonly warnings: ExpiryWarnings
  /** Must not reject. */
  readonly afterLook?: () => Promise<void>
  readonly pollMs: number | 'off'
  readonly log: Log
  readonly timetable?: Timetable
}

// A leaf is valid for 90 days, so a delay of an hour does no harm.
const LOOK_EVERY_MS = 3_600_000

// A failure ends soon (a lock) or needs a person (a full disk). Each attempt writes a log line, so the delay doubles.
const FIRST_RETRY_MS = 5_000

/** Resolves after the first look. From then on it notices changes of the folder. Never rejects. */
export async function keepLeafRenewed(options: LeafRenewalOptions): Promise<LeafRenewal> {
  const { keystore, names, warnings, afterLook, pollMs, log, timetable = SYSTEM_TIMETABLE } = options
  const file = keystore.leafFile
  const value = createValueInForce({
    initial: bundleIn(keystore),
    file,
    log,
    isSame: (one, other) => one.bundle === other.bundle,
    logChange: (next, previous) => {
      logRenewal(log, next, previous)
    },
  })
  let failures = 0
  let isClosed = false
  let cancel: () => void = () => undefined
  const look = shareNextRun(lookOnce)
  const watches = watchesOf(keystore, { pollMs, onSettled: look, log })
  await Promise.all(watches.map(({ ready }) => ready))

  return {
    value,
    look,
    async close() {
      isClosed = true
      cancel()
      await Promise.all(watches.map((watch) => watch.close()))
      await look()
    },
  }

  async function lookOnce(): Promise<void> {
    if (isClosed) return
    cancel()
    const nextInMs = await renew()
    warnings.look(value.current.bundle.leaf)
    await afterLook?.()
    lookAgainIn(nextInMs)
  }

  function lookAgainIn(delayMs: number): void {
    if (!isClosed) cancel = timetable.after(delayMs, () => void look())
  }

  /** Resolves to the delay until the next look. */
  async function renew(): Promise<number> {
    try {
      await keystore.renewIfDue(names, timetable.now())
      await value.publish(bundleIn(keystore))
      failures = 0
      return LOOK_EVERY_MS
    } catch (error) {
      const retryInMs = Math.min(FIRST_RETRY_MS * 2 ** failures++, LOOK_EVERY_MS)
      if (error instanceof NotAppliedError) return retryInMs
      const { notAfter } = value.current.bundle.leaf
      value.fail(`not renewed: ${errorMessage(error)}`, {
        log: () => {
          log.error({ event: 'leaf-not-renewed', file, err: error, notAfter, retryInMs }, NOT_RENEWED)
        },
      })
      return retryInMs
    }
  }
}

interface Watching extends Pick<LeafRenewalOptions, 'pollMs' | 'log'> {
  readonly onSettled: () => Promise<void>
}

function watchesOf({ leafFile, sharedRootFile }: Keystore, watching: Watching): readonly FileWatch[] {
  const { pollMs, onSettled, log } = watching
  const files = [leafFile, ...(sharedRootFile === undefined ? [] : [sharedRootFile])]
  return files.map((file) => watchFile(file, { pollMs, onSettled, onError: logWatchErrors(file, log) }))
}

function bundleIn({ bundle, root }: Keystore): IssuedBundle {
  return { bundle, root }
}

const NOT_RENEWED = 'leaf not renewed; the present one stays in use'

const ROOT_RENEWED =
  'root renewed: make clients trust it before the earlier root expires; afterwards clients without the new root fail'

function logRenewal(log: Log, { bundle, root }: IssuedBundle, previous: IssuedBundle): void {
  const isSameRoot = previous.root.fingerprint === root.fingerprint
  if (!isSameRoot) {
    const earlier = { fingerprint: previous.root.fingerprint, notAfter: previous.root.notAfter }
    log.info(
      { event: 'root-renewed', fingerprint: root.fingerprint, notAfter: root.notAfter, earlier },
      ROOT_RENEWED,
    )
  }
  const { fingerprint, notAfter } = bundle.leaf
  const under = isSameRoot ? 'the same root' : 'the new root'
  log.info(
    { event: 'leaf-renewed', fingerprint, notAfter },
    `leaf renewed under ${under}: new connections get it`,
  )
}
