// Loads and follows a certificate that someone else issued.
//
// A renewal replaces certificate, key and password one after the other.
// So a change of one file reads all three, and they come into force together or not at all.

import { InvalidFileError } from '../errors/errors.ts'
import { createCertificateInForce, type CertificateInForce } from './certificate-in-force.ts'
import { createExpiryWarnings } from './expiry-warnings.ts'
import type { Log } from '../observability/log.ts'
import { createMismatchPatience } from './mismatch-patience.ts'
import { warnOfOperatorFiles } from './operator-file-warnings.ts'
import { readOperatorPair, type OperatorFiles } from './operator-files.ts'
import { SYSTEM_TIMETABLE, type Timetable } from '../async/timetable.ts'
import { shareNextRun } from '../async/in-flight.ts'
import { logWatchErrors } from '../files/followed-file.ts'
import { readUntilWhole } from '../files/read-again.ts'
import { createValueInForce, type InForce, type ValueInForce } from '../files/value-in-force.ts'
import { watchFile } from '../files/watch.ts'
import type { OperatorCertificate } from '../pki/operator-bundle.ts'

export interface OperatorCertificateOptions {
  readonly files: OperatorFiles
  readonly pollMs: number | 'off'
  readonly log: Log
  readonly timetable?: Timetable
  /** How long a mismatch of certificate and key may last before it is an error. */
  readonly patienceMs?: number
}

// A person needs some seconds to copy two files. A program needs much less.
const PATIENCE_MS = 5_000

const HOUR_MS = 3_600_000

/** Rejects with InvalidFileError for an unusable certificate, because no earlier one exists at start. */
export async function loadOperatorCertificate(
  options: OperatorCertificateOptions,
): Promise<CertificateInForce> {
  const { files, pollMs, log } = options
  const pair = await loadPair(options)
  await warnOfOperatorFiles(files, log)
  const paths = Object.values<string | undefined>({ ...files }).filter((file) => file !== undefined)
  const watches = paths.map((file) =>
    watchFile(file, { pollMs, onSettled: pair.look, onError: logWatchErrors(file, log) }),
  )
  await Promise.all(watches.map((watch) => watch.ready))
  // Reads again even without a change: polling may be off, or the certificate was not valid yet.
  const hourly = setInterval(() => {
    pair.warn()
    void watches[0]?.check()
  }, HOUR_MS)

  return createCertificateInForce({
    origin: 'own',
    value: pair.value,
    rootOf: ({ anchor }) => anchor,
    reload: pair.look,
    async close() {
      clearInterval(hourly)
      await Promise.all(watches.map((watch) => watch.close()))
      await pair.close()
    },
  })
}

interface Pair {
  readonly value: InForce<OperatorCertificate>
  /** Rejects with InvalidFileError. */
  readonly look: () => Promise<void>
  readonly warn: () => void
  readonly close: () => Promise<void>
}

async function loadPair(options: OperatorCertificateOptions): Promise<Pair> {
  const { files, log, timetable: { now } = SYSTEM_TIMETABLE } = options
  const warnings = createExpiryWarnings({ file: files.certFile, clock: now, log })
  const value = createValueInForce({
    initial: await readFirst(files, now),
    isSame,
    file: files.certFile,
    log,
    logChange: (next) => {
      log.info(
        { event: 'certificate-replaced', ...factsOf(next, files) },
        'certificate replaced: new connections get it',
      )
      warn()
    },
    logRecovery: () => {
      log.info(
        { event: 'certificate-usable-again', file: files.certFile },
        'certificate and key can be used again',
      )
    },
  })
  log.info(
    { event: 'certificate-loaded', ...factsOf(value.current, files) },
    'serving a certificate that was issued elsewhere',
  )
  warn()
  return { value, warn, ...createLooks(value, options) }

  function warn(): void {
    warnings.look(value.current.bundle.leaf)
  }
}

function createLooks(
  value: ValueInForce<OperatorCertificate>,
  { files, log, timetable = SYSTEM_TIMETABLE, patienceMs = PATIENCE_MS }: OperatorCertificateOptions,
): Pick<Pair, 'look' | 'close'> {
  let isClosed = false
  const look = shareNextRun(lookOnce)
  const patience = createMismatchPatience({
    patienceMs,
    after: timetable.after,
    onOver: () => void look().catch(() => undefined),
  })

  return {
    look,
    async close() {
      isClosed = true
      await look()
      patience.end()
    },
  }

  async function lookOnce(): Promise<void> {
    if (isClosed) return
    // Checked before the read: if the wait ends during a slow read, the next read decides.
    const wasPatienceOver = patience.isOver
    const outcome = await readOperatorPair(files, timetable.now()).catch((error: unknown) => {
      if (!(error instanceof InvalidFileError)) throw error
      patience.end()
      throw fail(error)
    })
    if (outcome.kind === 'mismatch') {
      patience.begin()
      throw wasPatienceOver ? fail(outcome.error) : outcome.error
    }
    patience.end()
    await value.publish(outcome.certificate)
  }

  function fail(error: InvalidFileError): InvalidFileError {
    const { file, reason, message } = error
    value.fail(message, {
      key: message,
      log: () => {
        log.error(
          { event: 'certificate-not-replaced', file, reason },
          'certificate not replaced; the previous one stays in use',
        )
      },
    })
    return error
  }
}

const LOOKS_AT_START = { looks: 3, pauseMs: 200 }

// The process may start between two steps of a renewal. It waits long enough for a program, but not for a person.
async function readFirst(files: OperatorFiles, now: () => Date): Promise<OperatorCertificate> {
  const outcome = await readUntilWhole(() => readOperatorPair(files, now()), {
    isWhole: ({ kind }) => kind === 'pair',
    ...LOOKS_AT_START,
  })
  if (outcome.kind === 'mismatch') throw outcome.error
  return outcome.certificate
}

function isSame({ bundle: one }: OperatorCertificate, { bundle: other }: OperatorCertificate): boolean {
  return one.certPem === other.certPem && one.keyPem === other.keyPem
}

const MAX_LISTED = 20

function factsOf({ bundle: { leaf } }: OperatorCertificate, { certFile }: OperatorFiles) {
  const names = leaf.subjectAltNames.slice(0, MAX_LISTED).map(({ value }) => value)
  return { file: certFile, fingerprint: leaf.fingerprint, notAfter: leaf.notAfter, names }
}
