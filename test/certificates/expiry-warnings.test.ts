import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadClientCa } from '../../src/certificates/client-ca-in-force.ts'
import { createExpiryWarnings } from '../../src/certificates/expiry-warnings.ts'
import { openIssuedCertificate } from '../../src/certificates/issued-certificate.ts'
import { parseConfig } from '../../src/settings/config.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const DAY_MS = 86_400_000

describe('expiry warnings', () => {
  it('are logged once on each of the given days, and at the end', () => {
    const { log, lines } = recordedLog()
    let now = 0
    const warnings = createExpiryWarnings({
      file: 'x.crt',
      clock: () => new Date(now),
      log,
      subject: 'the root',
      atDays: [365, 30],
    })
    for (let day = 0; day <= 401; day++) {
      now = day * DAY_MS
      warnings.look({ notAfter: new Date(400 * DAY_MS), fingerprint: 'AA' })
    }
    expect(lines.map(({ msg, daysLeft }) => [msg, daysLeft])).toEqual([
      ['the root expires soon', 365],
      ['the root expires soon', 30],
      ['the root has expired: clients refuse it', undefined],
    ])
  })
})

describe('the end of a root', () => {
  async function openAt(now: Date, folder: string) {
    const { log, lines } = recordedLog()
    const config = parseConfig({ env: { SIDECAR_STATE_DIR: folder, SIDECAR_WATCH_POLL: 'off' } })
    const timetable = { now: () => now, after: () => () => undefined }
    const certificate = await openIssuedCertificate(config, log, { timetable })
    onTestFinished(() => certificate.close())
    await certificate.reload()
    return lines.filter(({ msg }) => msg === 'the root expires soon')
  }

  it('is logged a year ahead, with the fix', async () => {
    const folder = tempFolder()
    const now = Date.now()
    expect(await openAt(new Date(now), folder)).toEqual([])
    const [line] = await openAt(new Date(now + 3_300 * DAY_MS), folder)
    expect(line).toMatchObject({ level: 40, hint: expect.stringContaining('cert renew --root') as string })
  })
})

describe('the end of a client CA', () => {
  it('is logged when the CA is loaded', async () => {
    const file = path.join(tempFolder(), 'ca.pem')
    writeFileSync(file, createAuthority().rootPem)
    const { log, lines } = recordedLog()
    const first = await loadClientCa({ file, pollMs: 'off', log })
    onTestFinished(() => first.close())
    expect(lines.filter(({ msg }) => msg === 'a client CA expires soon')).toEqual([])
    const clock = () => new Date(first.current.notAfter.getTime() - 5 * DAY_MS)
    const late = await loadClientCa({ file, pollMs: 'off', log, clock })
    onTestFinished(() => late.close())
    expect(lines.find(({ msg }) => msg === 'a client CA expires soon')).toMatchObject({ file, daysLeft: 5 })
  })
})
