// The certificate in force, and, for one that was issued elsewhere, how it follows its files.
//
// Certificate, key and password are files of their own, replaced one after the other by whoever renews them. They are
// read together, whichever of them changed, and come into force together or not at all.

import { setTimeout as pause } from 'node:timers/promises'
import { InvalidFileError } from '../errors/errors.ts'
import { createExpiryWarnings } from './expiry-warnings.ts'
import { SYSTEM_TIMETABLE, type RenewalCounts, type Timetable } from './leaf-renewal.ts'
import type { Log } from '../observability/log.ts'
import { createPairStanding } from './pair-state.ts'
import { warnOfOwnFiles } from './operator-file-warnings.ts'
import { readOwnPair, type OwnFiles } from './operator-files.ts'
import { shareNextRun } from '../async/in-flight.ts'
import type { FileState } from '../files/reloadable.ts'
import { tellOfWatch } from '../files/followed-file.ts'
import { watchFile } from '../files/watch.ts'
import type { CertificateBundle, Root } from '../pki/certificate.ts'
import type { OperatorCertificate } from '../pki/operator-bundle.ts'

export interface CertificateInForce {
  /** `own`: the operator's, out of files that we only read. */
  readonly origin: 'issued' | 'own'
  readonly current: CertificateBundle
  readonly state: FileState
  readonly counts: RenewalCounts
  /** What clients can be told to trust. Undefined when that is the root of another, and we do not have it. */
  readonly root: Root | undefined
  /** `listener` is called whenever another certificate has come into force. */
  onChange(listener: (next: CertificateBundle) => void): void
  /** Reads what is watched again. Rejects with InvalidFileError, and keeps what is in force, when it is no good. */
  reload(): Promise<void>
  /** Waits for a reload under way. Afterwards nothing is watched, read or renewed. */
  close(): Promise<void>
}

export interface OwnCertificateOptions {
  readonly files: OwnFiles
  readonly pollMs: number | 'off'
  readonly log: Log
  readonly timetable?: Timetable
  /** How long certificate and key may not belong together before that is told. */
  readonly patienceMs?: number
}

// A person who copies two files needs some seconds between them; programs need none.
const PATIENCE_MS = 5_000

const HOUR_MS = 3_600_000

/**
 * Loads and watches a certificate that was issued elsewhere. Rejects with InvalidFileError when it is no good, since at
 * start there is no last good one to live on.
 */
export async function loadOwnCertificate(options: OwnCertificateOptions): Promise<CertificateInForce> {
  const { files, pollMs, log } = options
  const pair = await loadPair(options)
  let renewed = 0
  pair.listeners.push(() => (renewed += 1))
  const paths = Object.values<string | undefined>({ ...files }).filter((file) => file !== undefined)
  await warnOfOwnFiles(files, log)
  const watches = paths.map((file) =>
    watchFile(file, {
      pollMs,
      onSettled: () => pair.look(),
      onError: tellOfWatch(file, log),
    }),
  )
  await Promise.all(watches.map((watch) => watch.ready))
  // Also for a certificate whose time was still to come, and for a system without polls.
  const hourly = setInterval(() => {
    pair.warn()
    void watches[0]?.check()
  }, HOUR_MS)

  return {
    origin: 'own',
    get current() {
      return pair.current.bundle
    },
    get state() {
      return pair.state
    },
    get counts() {
      return { renewed, failed: pair.failed }
    },
    get root() {
      return pair.current.anchor
    },
    onChange: (listener) => {
      pair.listeners.push(listener)
    },
    reload: () => pair.look(),
    async close() {
      clearInterval(hourly)
      await Promise.all(watches.map((watch) => watch.close()))
      await pair.close()
    },
  }
}

interface Pair {
  readonly current: OperatorCertificate
  readonly state: FileState
  readonly failed: number
  readonly listeners: ((next: CertificateBundle) => void)[]
  /** Reads the files; what they hold comes into force if it is other than before. Rejects with InvalidFileError. */
  readonly look: () => Promise<void>
  /** Warns if the end is near. */
  readonly warn: () => void
  /** Waits for a look under way, whoever asked for it. */
  readonly close: () => Promise<void>
}

async function loadPair({
  files,
  log,
  timetable = SYSTEM_TIMETABLE,
  patienceMs = PATIENCE_MS,
}: OwnCertificateOptions): Promise<Pair> {
  const { now: clock, after } = timetable
  let current = await readFirst(files, clock)
  const listeners: ((next: CertificateBundle) => void)[] = []
  const lookInTurn = shareNextRun(lookOnce)
  let latest: Promise<unknown> = Promise.resolve()
  const standing = createPairStanding({
    log,
    patienceMs,
    after,
    onPatienceOver: () => void look().catch(() => undefined),
  })
  const warnings = createExpiryWarnings({ file: files.certFile, clock, log })
  const warn = () => {
    warnings.look(current.bundle.leaf)
  }
  log.info(factsOf(current, files), 'serving a certificate that was issued elsewhere')
  warn()

  return {
    get current() {
      return current
    },
    get state() {
      return standing.state
    },
    get failed() {
      return standing.failed
    },
    listeners,
    look,
    warn,
    async close() {
      standing.close()
      await latest
    },
  }

  function look(): Promise<void> {
    const looking = lookInTurn()
    latest = looking.catch(() => undefined)
    return looking
  }

  async function lookOnce(): Promise<void> {
    const { isPatienceOver: isLasting } = standing
    const outcome = await readOwnPair(files, clock()).catch((error: unknown) => {
      throw error instanceof InvalidFileError ? standing.fail(error) : error
    })
    if (outcome.kind === 'mismatch') throw standing.suspect(outcome.error, { isLasting })
    if (!isSame(outcome.certificate, current)) publish(outcome.certificate)
    standing.recovered()
  }

  function publish(next: OperatorCertificate): void {
    for (const listener of listeners) listener(next.bundle)
    current = next
    log.info(factsOf(next, files), 'certificate replaced: new connections get it')
    warn()
  }
}

const LOOKS_AT_START = 3
const LOOK_AGAIN_MS = 200

// We may be started right between the two steps of a renewal. A program takes them quickly, and whoever waits for this
// process to come up, or to say what is wrong, should not wait for a person.
async function readFirst(files: OwnFiles, clock: () => Date): Promise<OperatorCertificate> {
  for (let looks = 1; ; looks++) {
    const outcome = await readOwnPair(files, clock())
    if (outcome.kind === 'pair') return outcome.certificate
    if (looks === LOOKS_AT_START) throw outcome.error
    await pause(LOOK_AGAIN_MS)
  }
}

function isSame({ bundle: one }: OperatorCertificate, { bundle: other }: OperatorCertificate): boolean {
  return one.certPem === other.certPem && one.keyPem === other.keyPem
}

const MAX_LISTED = 20

function factsOf({ bundle: { leaf } }: OperatorCertificate, { certFile }: OwnFiles) {
  const names = leaf.subjectAltNames.slice(0, MAX_LISTED).map(({ value }) => value)
  return { file: certFile, fingerprint: leaf.fingerprint, notAfter: leaf.notAfter, names }
}
