import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createExpiryWarnings } from '../../src/certificates/expiry-warnings.ts'
import { keepLeafRenewed, type LeafRenewal } from '../../src/certificates/leaf-renewal.ts'
import type { CertificateBundle } from '../../src/pki/certificate.ts'
import { openKeystore, renewLeaf, type Keystore } from '../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../src/pki/names.ts'
import { createManualClock } from '../fixtures/manual-clock.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { withoutFileEvents } from '../files/no-file-events.ts'

const START = new Date('2030-01-01T00:00:00Z')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const NAMES: readonly SubjectAltName[] = [{ type: 'dns', value: 'proxy' }]

interface Scene {
  readonly folder: string
  readonly renewal: LeafRenewal
  readonly served: readonly CertificateBundle[]
  /** The delays of the timers that are set now. */
  readonly pending: () => readonly number[]
  /** Advances the clock to the next timer, or by this many milliseconds. Resolves after the look. */
  readonly pass: (ms?: number) => Promise<void>
  readonly lines: readonly Record<string, unknown>[]
}

interface SceneOptions {
  /** An error that is thrown instead of a renewal. */
  readonly renewing?: () => Error | undefined
  /** An error that the listener throws instead of serving a bundle. */
  readonly serving?: () => Error | undefined
  /** Whether changes of the folder are noticed. Otherwise only the test starts looks at the folder. */
  readonly hasEvents?: boolean
}

async function setScene({ renewing, serving, hasEvents = false }: SceneOptions = {}): Promise<Scene> {
  if (!hasEvents) onTestFinished(withoutFileEvents())
  const folder = path.join(tempFolder(), 'state')
  const real = await openKeystore({ folder, names: NAMES, now: START })
  const keystore = Object.assign(Object.create(real) as Keystore, {
    renewIfDue: async (...request: Parameters<Keystore['renewIfDue']>) => {
      const obstacle = renewing?.()
      if (obstacle !== undefined) throw obstacle
      return real.renewIfDue(...request)
    },
  })
  const { timetable, pending, advance, fireTimers } = createManualClock(START)
  const { log, lines } = recordedLog()
  const served: CertificateBundle[] = []
  const renewal = await keepLeafRenewed({
    keystore,
    names: NAMES,
    warnings: createExpiryWarnings({ file: real.leafFile, clock: timetable.now, log, hint: 'the fix' }),
    pollMs: 'off',
    log,
    timetable,
  })
  onTestFinished(() => renewal.close())
  renewal.value.onChange(({ bundle }) => {
    const obstacle = serving?.()
    if (obstacle !== undefined) throw obstacle
    served.push(bundle)
  })
  const pass = (ms?: number) => {
    advance(ms ?? Math.max(...pending()))
    fireTimers()
    // Joins the look that the timer has just started.
    return renewal.look()
  }
  return { folder, renewal, served, pending, pass, lines }
}

it('the leaf is checked every hour and renewed at two thirds of its life', async () => {
  const { renewal, served, pending, pass } = await setScene()
  expect(pending()).toEqual([HOUR_MS])
  await pass()
  expect(served).toEqual([])
  await pass(60 * DAY_MS - 3 * HOUR_MS)
  expect(served).toEqual([])
  await pass()
  expect(served).toHaveLength(1)
  expect(served[0]?.leaf.notBefore).toEqual(new Date(START.getTime() + 60 * DAY_MS - 2 * HOUR_MS))
  expect(pending()).toEqual([HOUR_MS])
  expect(renewal.value.state).toEqual({ kind: 'fresh' })
})

it('a failed renewal is repeated after growing delays up to an hour, which start again after a success', async () => {
  let obstacle: Error | undefined = new Error('disk full')
  const { renewal, served, pending, pass } = await setScene({ renewing: () => obstacle })
  const delays: number[] = []
  for (let attempt = 1; attempt <= 12; attempt++) {
    delays.push(...pending())
    await pass()
  }
  expect(delays.map((ms) => ms / 1000)).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600])
  expect(renewal.value.state).toEqual({ kind: 'stale', reason: 'not renewed: disk full' })

  obstacle = undefined
  await pass(61 * DAY_MS)
  expect(served).toHaveLength(1)
  expect(renewal.value.state).toEqual({ kind: 'fresh' })
  expect(pending()).toEqual([HOUR_MS])

  obstacle = new Error('disk full')
  await pass()
  expect(pending()).toEqual([5_000])
})

it('each failure is logged with its reason, the end of the leaf and the time of the next attempt', async () => {
  const { lines } = await setScene({ renewing: () => new Error('disk full') })
  expect(lines).toEqual([
    expect.objectContaining({
      msg: 'leaf not renewed; the present one stays in use',
      err: expect.objectContaining({ message: 'disk full' }) as unknown,
      notAfter: new Date(START.getTime() + 90 * DAY_MS - HOUR_MS).toISOString(),
      retryInMs: 5_000,
    }),
  ])
})

it('a leaf that cannot be renewed causes one warning 30 days, 7 days and one day before its end', async () => {
  const { pass, lines } = await setScene({ renewing: () => new Error('disk full') })
  const warned = () => lines.filter(({ msg }) => String(msg).startsWith('the certificate expires soon'))
  const counts: number[] = []
  for (const days of [58, 3, 1, 20, 3, 4, 0.5]) {
    await pass(days * DAY_MS)
    counts.push(warned().length)
  }
  expect(counts).toEqual([0, 1, 1, 1, 2, 3, 3])
  expect(warned().map(({ daysLeft }) => daysLeft)).toEqual([28, 4, 0])
  expect(warned()[0]).toMatchObject({ hint: 'the fix' })
})

it('a leaf that is not valid yet, after the clock was set back, is logged once with the fix', async () => {
  const { pass, lines } = await setScene()
  await pass(-2 * HOUR_MS)
  await pass()
  await pass(-DAY_MS)
  expect(lines).toEqual([
    expect.objectContaining({
      level: 50,
      msg: 'the certificate is not valid yet: clients refuse it',
      notBefore: new Date(START.getTime() - HOUR_MS).toISOString(),
      hint: expect.stringMatching(
        /^correct the clock of this machine; if it is right, .*renew the certificate$/,
      ) as unknown,
    }),
  ])
})

it('a leaf that could not be served is served at the next attempt', async () => {
  let obstacle: Error | undefined = new Error('cannot be served')
  const { renewal, served, pending, pass, lines } = await setScene({ serving: () => obstacle })
  await pass(61 * DAY_MS)
  expect([served.length, pending()]).toEqual([0, [5_000]])
  expect(renewal.value.state).toEqual({
    kind: 'stale',
    reason: 'a change could not be applied; it is tried again',
  })
  expect(lines.filter(({ level }) => level === 50)).toMatchObject([
    {
      msg: 'a change of this file is not applied; the next reload tries again',
      err: { message: 'cannot be served' },
    },
  ])
  obstacle = undefined
  await pass()
  expect([served.length, pending()]).toEqual([1, [HOUR_MS]])
})

it('a leaf that another process has put into the folder is served without waiting for the hour', async () => {
  const { folder, served, pending } = await setScene({ hasEvents: true })
  const { leaf } = await renewLeaf({ folder, names: () => NAMES, now: START })
  await expect.poll(() => served.map((bundle) => bundle.leaf), { timeout: 10_000 }).toEqual([leaf])
  // There may be several looks. Each sets the timer for the next one at its end.
  await expect.poll(pending, { timeout: 10_000 }).toEqual([HOUR_MS])
})

it('a closed renewal does not look at the folder and sets no timer', async () => {
  const { folder, renewal, served, pending, lines } = await setScene({ hasEvents: true })
  await renewal.close()
  await renewLeaf({ folder, names: () => NAMES, now: START })
  await renewal.look()
  expect([served, pending(), lines]).toEqual([[], [], []])
})
