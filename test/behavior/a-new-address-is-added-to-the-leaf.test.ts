import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseConfig } from '../../src/settings/config.ts'
import { openIssuedCertificate } from '../../src/certificates/issued-certificate.ts'
import { namesOfMachine } from '../../src/certificates/names/machine-names.ts'
import type { Machine } from '../../src/certificates/names/machine-facts.ts'
import type { CertificateInForce } from '../../src/certificates/certificate-in-force.ts'
import { createManualClock } from '../fixtures/manual-clock.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const LOOK_MS = 30_000

/** Creates a machine whose addresses the test sets. */
function machineAt(...first: readonly string[]) {
  let addresses = first
  const names: Machine['names'] = (configured) =>
    namesOfMachine({ hostname: 'box', addresses, hostsFile: '', resolvConf: '', namespace: '' }, configured)
  return {
    machine: { names, refresh: () => Promise.resolve() },
    moveTo: (...next: readonly string[]) => (addresses = next),
  }
}

async function open(stateDir: string, { machine }: { readonly machine: Machine }) {
  const { timetable, pending, fireTimers } = createManualClock(new Date())
  const config = parseConfig({
    env: { SIDECAR_STATE_DIR: stateDir, SIDECAR_HOSTS: 'proxy', SIDECAR_WATCH_POLL: 'off' },
  })
  const { log } = recordedLog()
  const certificate = await openIssuedCertificate(config, log, { machine, timetable })
  onTestFinished(() => certificate.close())
  const asked = (ms: number) =>
    until(() => pending().includes(ms), { deadlineMs: 5_000, what: `a look in ${ms} ms` })
  return {
    certificate,
    /** Fires the timer with this delay. */
    pass: async (ms: number) => {
      await asked(ms)
      fireTimers(ms)
      // Each check starts the timer for the next one when it ends.
      await asked(ms)
    },
  }
}

const carries = ({ current }: CertificateInForce, address: string) =>
  current.leaf.subjectAltNames.some(({ value }) => value === address)

describe('an address that this machine gets while it runs', () => {
  it('is in the leaf after the next check, and clients get that leaf', async () => {
    const { machine, moveTo } = machineAt('10.0.0.1')
    const { certificate, pass } = await open(path.join(tempFolder(), 'state'), { machine })
    const served: string[] = []
    certificate.onChange(({ leaf }) => served.push(leaf.fingerprint))
    moveTo('10.0.0.1', '10.0.0.2')
    await pass(LOOK_MS)
    expect([carries(certificate, '10.0.0.2'), served]).toEqual([true, [certificate.current.leaf.fingerprint]])
    expect(certificate.counts).toEqual({ renewed: 1, failed: 0 })
  })

  it('that comes and goes causes no new leaf before the next regular check', async () => {
    const { machine, moveTo } = machineAt('10.0.0.1', '10.0.0.2')
    const { certificate, pass } = await open(path.join(tempFolder(), 'state'), { machine })
    for (let count = 0; count < 5; count++) {
      moveTo('10.0.0.1')
      await pass(LOOK_MS)
      moveTo('10.0.0.1', '10.0.0.2')
      await pass(LOOK_MS)
    }
    expect([carries(certificate, '10.0.0.2'), certificate.counts.renewed]).toEqual([true, 0])
    moveTo('10.0.0.1')
    await certificate.reload()
    expect([carries(certificate, '10.0.0.2'), certificate.counts.renewed]).toEqual([false, 1])
  })

  it('does not make two sidecars with one state folder replace each other’s leaf', async () => {
    const stateDir = path.join(tempFolder(), 'state')
    const [one, other] = [machineAt('10.0.0.1'), machineAt('10.1.0.1')]
    const here = await open(stateDir, one)
    const there = await open(stateDir, other)
    one.moveTo('10.0.0.1', '10.0.0.2')
    for (let count = 0; count < 3; count++) {
      await here.pass(LOOK_MS)
      await there.pass(LOOK_MS)
      await here.certificate.reload()
      await there.certificate.reload()
    }
    expect([here.certificate.counts.renewed, there.certificate.counts.renewed]).toEqual([1, 0])
    expect(carries(here.certificate, '10.0.0.2')).toBe(true)
    expect(carries(there.certificate, '10.1.0.1')).toBe(true)
  })
})
