import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, vi, type TestContext } from 'vitest'
import type { CertificateInForce } from '../../src/certificates/certificate-in-force.ts'
import type { OperatorFiles } from '../../src/certificates/operator-files.ts'
import { loadOperatorCertificate } from '../../src/certificates/operator-certificate.ts'
import { SYSTEM_TIMETABLE, type Timetable } from '../../src/async/timetable.ts'
import { NotAppliedError } from '../../src/errors/errors.ts'
import type { IssuedCertificate } from '../../src/pki/issue.ts'
import {
  connectSteadily,
  createAuthority,
  fingerprintOf,
  moveInto,
  type SteadyClient,
} from '../fixtures/own-certificate.ts'
import { createManualClock, type ManualClock } from '../fixtures/manual-clock.ts'
import { startListener } from '../fixtures/listener.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { blockEventLoop } from '../fixtures/block-event-loop.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const PATIENCE_MS = 1_500
const STANDSTILLS = repetitions({ usual: 3, stress: 6 })
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const REPLACED = 'certificate replaced: new connections get it'

const authority = createAuthority()

interface Scene {
  readonly files: OperatorFiles
  readonly certificate: CertificateInForce
  /** Connects from the first call of `becomes`. */
  readonly client: () => SteadyClient
  readonly first: IssuedCertificate
  readonly messages: (level?: number) => readonly unknown[]
  readonly lines: readonly Record<string, unknown>[]
  /** Resolves when new connections get this certificate. */
  readonly becomes: (pair: IssuedCertificate) => Promise<number>
  readonly becomesStale: (reason: RegExp) => Promise<number>
  readonly put: (file: 'certFile' | 'keyFile', text: string) => void
}

interface SceneOptions {
  readonly pollMs?: number | 'off'
  readonly first?: IssuedCertificate
  readonly patienceMs?: number
  readonly timetable?: Timetable
  /** Creates the files before they are loaded, and returns their paths. */
  readonly prepare?: (folder: string, pair: IssuedCertificate) => OperatorFiles
}

function plainFiles(folder: string, pair: IssuedCertificate): OperatorFiles {
  const files = filesIn(folder)
  writeFileSync(files.certFile, pair.certPem)
  writeFileSync(files.keyFile, pair.keyPem, { mode: 0o600 })
  return files
}

function filesIn(folder: string) {
  const [certFile, keyFile] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')]
  return { certFile, keyFile, keyPasswordFile: undefined }
}

// Concurrent tests need the `onTestFinished` of their own context.
async function setScene(
  { onTestFinished }: TestContext,
  {
    pollMs = 100,
    first,
    timetable = SYSTEM_TIMETABLE,
    patienceMs = PATIENCE_MS,
    prepare = plainFiles,
  }: SceneOptions = {},
): Promise<Scene> {
  const pair = first ?? authority.issue()
  const files = prepare(tempFolder(onTestFinished), pair)
  const { log, lines } = recordedLog()
  const certificate = await loadOperatorCertificate({ files, pollMs, log, patienceMs, timetable })
  onTestFinished(() => certificate.close())
  const listener = await startListener(
    { certificate: certificate.current, handler: (_, response) => response.end() },
    onTestFinished,
  )
  certificate.onChange((next) => {
    listener.serve(next)
  })
  // Its handshakes take most of the processor time of this file.
  let connected: SteadyClient | undefined
  const client = (): SteadyClient => (connected ??= connectSteadily(listener.address.port, authority.rootPem))
  onTestFinished(() => connected?.stop())
  return {
    files,
    certificate,
    client,
    first: pair,
    lines,
    messages: (level = 40) => lines.filter((line) => Number(line['level']) >= level).map(({ msg }) => msg),
    becomes: (next) => {
      const fingerprint = fingerprintOf(next)
      return until(() => client().served.at(-1) === fingerprint, {
        deadlineMs: 5_000,
        what: 'the other is served',
      })
    },
    becomesStale: (reason) =>
      until(() => certificate.state.kind === 'stale' && reason.test(certificate.state.reason), {
        deadlineMs: 5_000,
        what: `stale: ${reason.source}; it is ${JSON.stringify(certificate.state)}`,
      }),
    put: (file, text) => {
      moveInto(files[file], text)
    },
  }
}

/** Resolves after a look has found the mismatch and has started the patience timer. */
function mismatchSeen(clock: ManualClock): Promise<number> {
  return until(() => clock.pending().length === 1, { deadlineMs: 5_000, what: 'a look at a mismatch' })
}

/** Looks several times at unusable files. */
async function lookAgain(certificate: CertificateInForce, reason: RegExp): Promise<void> {
  for (let looks = 0; looks < 3; looks++) await expect(certificate.reload()).rejects.toThrow(reason)
}

describe.concurrent('a replaced certificate and key', () => {
  const inPlace = writeFileSync
  const slowly = async (file: string, text: string) => {
    truncateSync(file, 0)
    await pause(100)
    writeFileSync(file, text)
  }
  const removing = async (file: string, text: string) => {
    rmSync(file)
    await pause(100)
    writeFileSync(file, text)
  }

  it.for([
    ['the certificate first, both moved', moveInto, ['certFile', 'keyFile']],
    ['the key first, both moved', moveInto, ['keyFile', 'certFile']],
    ['the certificate first, both written in place', inPlace, ['certFile', 'keyFile']],
    ['the key first, both written in place', inPlace, ['keyFile', 'certFile']],
    ['the certificate first, both emptied before the write', slowly, ['certFile', 'keyFile']],
    ['the key first, both removed before the write', removing, ['keyFile', 'certFile']],
  ] as const)('never break a handshake: %s', async ([, replace, order], test) => {
    const clock = createManualClock(new Date())
    const { timetable } = clock
    const { files, first, client, certificate, becomes, messages, lines } = await setScene(test, {
      timetable,
    })
    await becomes(first)
    const next = authority.issue()
    const texts = { certFile: next.certPem, keyFile: next.keyPem }

    await replace(files[order[0]], texts[order[0]])
    await mismatchSeen(clock)
    await lookAgain(certificate, /does not belong to/)
    expect(certificate.current.leaf.fingerprint).toBe(fingerprintOf(first))
    expect(certificate.state).toEqual({ kind: 'fresh' })
    await replace(files[order[1]], texts[order[1]])
    await becomes(next)
    await client().stop()

    expect(client().served).toEqual([fingerprintOf(first), fingerprintOf(next)])
    expect(client().failures).toEqual([])
    expect(messages()).toEqual([])
    expect(lines.filter(({ msg }) => msg === REPLACED)).toMatchObject([
      { file: files.certFile, fingerprint: fingerprintOf(next), names: ['localhost', '127.0.0.1'] },
    ])
    await until(() => certificate.state.kind === 'fresh', { deadlineMs: 1_000, what: 'fresh' })
  })

  it.for(['certFile', 'keyFile'] as const)(
    'are noticed by file events alone, with the %s last',
    async (last, test) => {
      // The end of the patience causes a look too. In this test the patience never ends.
      const clock = createManualClock(new Date())
      const { files, put, becomes } = await setScene(test, { pollMs: 'off', timetable: clock.timetable })
      const next = authority.issue()
      const texts = { certFile: next.certPem, keyFile: next.keyPem }
      const before = last === 'certFile' ? 'keyFile' : 'certFile'
      put(before, texts[before])
      await mismatchSeen(clock)
      moveInto(files[last], texts[last])
      await becomes(next)
    },
  )

  it('come into force when Kubernetes swaps a secret: both at once, behind two symlinks', async (test) => {
    const { files, client, first, becomes, messages } = await setScene(test, { prepare: secretVolume })
    await becomes(first)
    const next = authority.issue()

    swapSecret(path.dirname(files.certFile), next)
    await becomes(next)
    await client().stop()

    expect(client().served).toEqual([fingerprintOf(first), fingerprintOf(next)])
    expect(client().failures).toEqual([])
    expect(messages()).toEqual([])
  })

  it('come into force when certbot changes one symlink after the other', async (test) => {
    const { files, client, first, becomes, messages } = await setScene(test, {
      prepare: certbotFolder,
      patienceMs: 10_000,
    })
    await becomes(first)
    const next = authority.issue()

    const archive = path.join(path.dirname(files.certFile), '..', 'archive')
    writeFileSync(path.join(archive, 'privkey2.pem'), next.keyPem)
    writeFileSync(path.join(archive, 'fullchain2.pem'), next.certPem)
    for (const [link, name] of [
      [files.keyFile, 'privkey2.pem'],
      [files.certFile, 'fullchain2.pem'],
    ] as const) {
      rmSync(link)
      symlinkSync(`../archive/${name}`, link)
      await pause(300)
    }
    await becomes(next)
    await client().stop()

    expect(client().failures).toEqual([])
    expect(messages()).toEqual([])
  })

  it('come into force when only the certificate is renewed, for the same key', async (test) => {
    const { put, first, certificate } = await setScene(test)
    put('certFile', `${first.certPem}${authority.rootPem}`)
    await until(() => certificate.root !== undefined, { deadlineMs: 5_000, what: 'the chain with its root' })
  })
})

describe.concurrent('a listener', () => {
  it('finds the new certificate in force when it is called', async (test) => {
    const { put, certificate, first } = await setScene(test)
    const found: [string, string][] = []
    certificate.onChange(({ leaf }) => found.push([leaf.fingerprint, certificate.current.leaf.fingerprint]))
    const next = authority.issue()
    put('keyFile', next.keyPem)
    put('certFile', next.certPem)
    await until(() => found.length > 0, { deadlineMs: 5_000, what: 'the listener was called' })
    expect(fingerprintOf(first)).not.toBe(fingerprintOf(next))
    expect(found).toEqual([[fingerprintOf(next), fingerprintOf(next)]])
  })

  it('that throws is called again at the next look, and the state is stale until it succeeds', async (test) => {
    const { put, certificate, lines, messages } = await setScene(test, { pollMs: 'off' })
    let obstacle: Error | undefined = new Error('refused')
    certificate.onChange(() => {
      if (obstacle !== undefined) throw obstacle
    })
    const next = authority.issue()
    put('keyFile', next.keyPem)
    put('certFile', next.certPem)
    await until(() => certificate.current.leaf.fingerprint === fingerprintOf(next), {
      deadlineMs: 5_000,
      what: 'the new certificate is in force',
    })
    await expect(certificate.reload()).rejects.toEqual(new NotAppliedError(obstacle))
    expect(certificate.state).toMatchObject({ kind: 'stale' })
    expect(messages()).toEqual(['a change of this file is not applied; the next reload tries again'])

    obstacle = undefined
    await certificate.reload()

    expect([certificate.state, certificate.counts]).toEqual([{ kind: 'fresh' }, { renewed: 1, failed: 1 }])
    expect(lines.filter(({ msg }) => msg === REPLACED)).toHaveLength(1)
  })
})

function secretVolume(folder: string, pair: IssuedCertificate): OperatorFiles {
  mkdirSync(path.join(folder, '..2024_01'))
  plainFiles(path.join(folder, '..2024_01'), pair)
  symlinkSync('..2024_01', path.join(folder, '..data'))
  for (const name of ['tls.crt', 'tls.key']) symlinkSync(`..data/${name}`, path.join(folder, name))
  return filesIn(folder)
}

// Does the same steps as kubelet, in the same order: it removes the old folder last.
function swapSecret(folder: string, pair: IssuedCertificate): void {
  mkdirSync(path.join(folder, '..2024_02'))
  plainFiles(path.join(folder, '..2024_02'), pair)
  symlinkSync('..2024_02', path.join(folder, '..data_tmp'))
  renameSync(path.join(folder, '..data_tmp'), path.join(folder, '..data'))
  rmSync(path.join(folder, '..2024_01'), { recursive: true })
}

function certbotFolder(folder: string, pair: IssuedCertificate): OperatorFiles {
  const [archive, live] = [path.join(folder, 'archive'), path.join(folder, 'live')]
  mkdirSync(archive)
  mkdirSync(live)
  writeFileSync(path.join(archive, 'privkey1.pem'), pair.keyPem, { mode: 0o600 })
  writeFileSync(path.join(archive, 'fullchain1.pem'), pair.certPem)
  const files = { certFile: path.join(live, 'fullchain.pem'), keyFile: path.join(live, 'privkey.pem') }
  symlinkSync('../archive/fullchain1.pem', files.certFile)
  symlinkSync('../archive/privkey1.pem', files.keyFile)
  return { ...files, keyPasswordFile: undefined }
}

describe.concurrent('a mismatch of certificate and key', () => {
  it('that lasts is logged once, with the fix, and ends when the other file arrives', async (test) => {
    const { files, put, first, client, becomes, becomesStale, lines, messages, certificate } =
      await setScene(test)
    await becomes(first)
    const next = authority.issue()

    put('certFile', next.certPem)
    expect(await becomesStale(/does not belong to/)).toBeGreaterThan(PATIENCE_MS - 100)
    await lookAgain(certificate, /does not belong to/)

    expect(lines.filter(({ level }) => level === 50)).toMatchObject([
      {
        file: files.keyFile,
        reason: `does not belong to ${files.certFile}: use the certificate and key that were issued together`,
      },
    ])
    put('keyFile', next.keyPem)
    await becomes(next)
    await until(() => certificate.state.kind === 'fresh', { deadlineMs: 1_000, what: 'fresh' })
    expect(client().failures).toEqual([])
    expect(messages(30)).toContain('certificate and key can be used again')
  })

  it('that lasts is logged without polls too', async (test) => {
    const clock = createManualClock(new Date())
    const { put, becomesStale } = await setScene(test, { pollMs: 'off', timetable: clock.timetable })
    put('keyFile', authority.issue().keyPem)
    await mismatchSeen(clock)
    expect(clock.pending()).toEqual([PATIENCE_MS])
    clock.fireTimers()
    await becomesStale(/does not belong to/)
  })

  it('that is undone is not logged, and the next mismatch has its full patience', async (test) => {
    const clock = createManualClock(new Date())
    const { put, first, messages, certificate } = await setScene(test, { timetable: clock.timetable })
    for (let round = 0; round < 2; round++) {
      put('keyFile', authority.issue().keyPem)
      await mismatchSeen(clock)
      expect(clock.pending()).toEqual([PATIENCE_MS])
      put('keyFile', first.keyPem)
      await certificate.reload()
      expect(clock.pending()).toEqual([])
    }
    expect(messages()).toEqual([])
    expect(certificate.state).toEqual({ kind: 'fresh' })
  })

  it('at start delays the start if it is short', async (test) => {
    const next = authority.issue()
    const opened = setScene(test, {
      prepare: (folder, pair) => {
        const files = plainFiles(folder, { certPem: next.certPem, keyPem: pair.keyPem })
        setTimeout(writeFileSync, 150, files.keyFile, next.keyPem)
        return files
      },
    })
    expect((await opened).certificate.current.leaf.fingerprint).toBe(fingerprintOf(next))
  })

  it('at start that lasts makes the start fail', async (test) => {
    const opened = setScene(test, {
      prepare: (folder, pair) => plainFiles(folder, { ...pair, keyPem: authority.issue().keyPem }),
    })
    await expect(opened).rejects.toThrow(/tls\.key: does not belong to .*tls\.crt/)
  })
})

describe.concurrent('a broken replacement', () => {
  it.for<[what: string, file: 'certFile' | 'keyFile', text: string, reason: RegExp]>([
    ['a text that is not a certificate', 'certFile', 'nonsense', /tls\.crt: holds no readable certificate/],
    ['a text that is not a key', 'keyFile', 'nonsense', /tls\.key: holds no readable private key/],
    ['an empty file', 'certFile', '', /tls\.crt: holds no readable certificate/],
  ])(
    'keeps the previous certificate in force, and is logged once: %s',
    async ([, file, text, reason], test) => {
      const { put, first, client, becomes, becomesStale, messages, certificate } = await setScene(test)
      await becomes(first)

      put(file, text)
      await becomesStale(reason)
      await lookAgain(certificate, reason)
      expect(messages()).toEqual(['certificate not replaced; the previous one stays in use'])
      expect(certificate.current.leaf.fingerprint).toBe(fingerprintOf(first))

      put(file, file === 'certFile' ? first.certPem : first.keyPem)
      await until(() => certificate.state.kind === 'fresh', { deadlineMs: 5_000, what: 'fresh again' })
      await client().stop()
      expect(client().served).toEqual([fingerprintOf(first)])
      expect(client().failures).toEqual([])
    },
  )

  it('is reported as stale when the file is missing', async (test) => {
    const { files, certificate, becomesStale } = await setScene(test)
    rmSync(files.certFile)
    await becomesStale(/tls\.crt: is missing/)
    expect(certificate.current.leaf.subjectAltNames).toHaveLength(2)
  })
})

describe.concurrent('close()', () => {
  it('ends the looks: nothing more is read, logged or put in force', async (test) => {
    const clock = createManualClock(new Date())
    const { put, certificate, messages, first } = await setScene(test, { timetable: clock.timetable })
    put('keyFile', authority.issue().keyPem)
    await mismatchSeen(clock)
    await certificate.close()
    expect(clock.pending()).toEqual([])
    const before = messages(30).length
    put('certFile', 'nonsense')
    // Long enough for several polls and for events.
    await pause(500)
    expect(messages(30)).toHaveLength(before)
    expect(certificate.current.leaf.fingerprint).toBe(fingerprintOf(first))
  })
})

// Not concurrent: it stops this process.
it('a mismatch that ends while the process stands still is not logged', async (test) => {
  const patienceMs = 400
  const { put, first, messages, certificate } = await setScene(test, { patienceMs })
  // A look takes most of the 100 ms between polls, so some of these changes happen during a look.
  for (let round = 0; round < STANDSTILLS; round++) {
    put('keyFile', authority.issue().keyPem)
    await pause(180 + (120 / STANDSTILLS) * round)
    blockEventLoop(patienceMs + 100)
    put('keyFile', first.keyPem)
    await certificate.reload()
  }
  expect(messages()).toEqual([])
  expect(certificate.state).toEqual({ kind: 'fresh' })
})

describe('the expiry of a certificate', () => {
  it('is logged once 30, 7 and 1 day before, when the hourly look comes', async (test) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    test.onTestFinished(() => {
      vi.useRealTimers()
    })
    let now = Date.now()
    const first = authority.issue()
    const { certificate, lines, put, becomes } = await setScene(test, {
      pollMs: 'off',
      first,
      timetable: { ...SYSTEM_TIMETABLE, now: () => new Date(now) },
    })
    const end = certificate.current.leaf.notAfter.getTime()
    const warnings = () => lines.filter(({ msg }) => /expires soon|has expired/.test(String(msg)))
    const counts: number[] = []
    for (const daysLeft of [30.1, 30, 20, 7, 5, 1, 0.5, 0, -1]) {
      now = end - daysLeft * DAY_MS
      vi.advanceTimersByTime(2 * HOUR_MS)
      await pause(5)
      counts.push(warnings().length)
    }
    expect(counts).toEqual([0, 1, 1, 2, 2, 3, 3, 4, 4])
    expect(warnings()).toMatchObject([
      {
        level: 40,
        daysLeft: 30,
        hint: expect.stringContaining('replace the files with a renewed certificate') as string,
      },
      { level: 40, daysLeft: 7 },
      { level: 40, daysLeft: 1 },
      { level: 50, msg: 'the certificate has expired: clients refuse it' },
    ])

    // The warnings of another certificate start again.
    now = Date.now()
    const next = authority.issue(new Date(now - 85 * DAY_MS))
    put('keyFile', next.keyPem)
    put('certFile', next.certPem)
    await becomes(next)
    expect(warnings().at(-1)).toMatchObject({ daysLeft: 4 })
  })

  it('is logged at start', async (test) => {
    const { messages } = await setScene(test, { first: authority.issue(new Date(Date.now() - 85 * DAY_MS)) })
    expect(messages()).toEqual(['the certificate expires soon'])
  })
})
