import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { renewLeaf } from '../../src/certificates/state-folder/keystore.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { askAdmin, scrape, sumOf } from '../fixtures/scrape.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const DAY_S = 86_400

/** A sidecar whose registry always answers with these bytes. */
async function sidecarWithAnswer(bytes: string) {
  const upstream = await upstreamForTest(answering(bytes))
  return sidecarForTest({ upstreamPort: upstream.port })
}

/** How many certificates were replaced since the start, and how many replacements failed. */
async function renewalCounts(sidecar: TestSidecar): Promise<readonly (number | undefined)[]> {
  const metrics = await scrape(sidecar)
  return ['renewals', 'renewal_failures'].map((counter) =>
    metrics.get(`registry_sidecar_certificate_${counter}_total`),
  )
}

describe('the metrics', () => {
  it('count requests by method and status, their bytes and their time', async () => {
    const sidecar = await sidecarWithAnswer(OK)
    await sidecar.request({ as: ALICE, path: '/v2/x' })
    await sidecar.request({ as: ALICE, path: '/v2/x' })
    await sidecar.request({ path: '/v2/' })
    await sidecar.request({ method: 'PURGE', path: '/v2/' })
    const read = () => scrape(sidecar)
    const count = async (): Promise<number> => sumOf(await read(), 'registry_sidecar_request_seconds_count')
    await until(async () => (await count()) === 4, { deadlineMs: 20_000, what: 'four requests' })
    const metrics = await read()
    const requests = (labels: string) => metrics.get(`registry_sidecar_requests_total{${labels}}`)
    expect(requests('method="GET",status="200",route="other"')).toBe(2)
    expect(requests('method="GET",status="401",route="ping"')).toBe(1)
    expect(requests('method="other",status="405",route="ping"')).toBe(1)
    expect(metrics.get('registry_sidecar_received_bytes_total')).toBeGreaterThan(4 * 30)
    expect(metrics.get('registry_sidecar_sent_bytes_total')).toBeGreaterThan(4 * 30)
    expect(metrics.get('registry_sidecar_password_comparisons_total')).toBe(1)
    expect(metrics.get('registry_sidecar_requests_in_flight')).toBe(0)
  })

  it('count refused logins by kind, without requests that have no credentials', async () => {
    const sidecar = await sidecarWithAnswer(OK)
    await sidecar.request({ path: '/v2/' })
    await sidecar.request({ as: 'alice:wrong', path: '/v2/' })
    await sidecar.request({ as: 'nobody:wrong', path: '/v2/' })
    await sidecar.request({ headers: { Authorization: 'Basic ?' }, path: '/v2/' })
    const metrics = await scrape(sidecar)
    expect([...metrics].filter(([name, n]) => name.includes('logins_refused') && n > 0)).toEqual([
      ['registry_sidecar_logins_refused_total{kind="malformed"}', 1],
      ['registry_sidecar_logins_refused_total{kind="refused"}', 2],
    ])
  })

  it('count failures of the registry', async () => {
    const sidecar = await sidecarForTest({ upstreamPort: 1 })
    await sidecar.request({ as: ALICE, path: '/v2/x' })
    const metrics = await scrape(sidecar)
    expect(metrics.get('registry_sidecar_upstream_failures_total{kind="unreachable"}')).toBe(1)
  })

  it('show the expiry of leaf and root, and the number of users', async () => {
    const sidecar = await sidecarForTest()
    const metrics = await scrape(sidecar)
    const secondsLeft = (kind: string) =>
      (metrics.get(`registry_sidecar_certificate_not_after_seconds{kind="${kind}"}`) ?? 0) - Date.now() / 1000
    expect(secondsLeft('leaf') / DAY_S).toBeCloseTo(90, 0)
    expect(secondsLeft('root') / DAY_S).toBeCloseTo(3650, 0)
    expect(metrics.get('registry_sidecar_users')).toBe(1)
    const { certificate } = (await sidecar.readiness()).parts
    expect(certificate).toEqual({ ready: true, state: 'ok', reason: '89 days left' })
  })

  it('count renewed leaves and failed renewals', async () => {
    const sidecar = await sidecarForTest()
    expect(await renewalCounts(sidecar)).toEqual([0, 0])
    const stateDir = path.join(sidecar.folder, 'state')
    const { file, leaf } = await renewLeaf({ folder: stateDir, names: () => [], now: new Date() })
    await sidecar.reload()
    expect(await renewalCounts(sidecar)).toEqual([1, 0])
    const served = await scrape(sidecar)
    expect(served.get('registry_sidecar_certificate_not_after_seconds{kind="leaf"}')).toBe(
      leaf.notAfter.getTime() / 1000,
    )

    rmSync(file)
    rmSync(path.join(stateDir, 'root.key'))
    await until(async () => ((await renewalCounts(sidecar))[1] ?? 0) > 0, {
      deadlineMs: 20_000,
      what: 'the failure',
    })
  })

  it('count replaced operator certificates and failed replacements', async () => {
    const authority = createAuthority()
    const folder = tempFolder()
    const [certFile, keyFile] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')]
    const put = ({ certPem, keyPem }: { readonly certPem: string; readonly keyPem: string }) => {
      writeFileSync(keyFile, keyPem)
      writeFileSync(certFile, certPem)
    }
    put(authority.issue())
    const env = { SIDECAR_TLS_CERT: certFile, SIDECAR_TLS_KEY: keyFile }
    const sidecar = await sidecarForTest({ env, rootPem: authority.rootPem })
    put(authority.issue())
    await sidecar.reload()
    expect(await renewalCounts(sidecar)).toEqual([1, 0])
    writeFileSync(certFile, 'not a certificate')
    await sidecar.reload().catch(() => undefined)
    expect(await renewalCounts(sidecar)).toEqual([1, 1])
  })

  it('show that the users file became invalid', async () => {
    const sidecar = await sidecarForTest()
    const isStale = async () => (await scrape(sidecar)).get('registry_sidecar_file_stale{part="users"}') === 1
    expect(await isStale()).toBe(false)
    sidecar.writeUsers('not an entry\n')
    await until(isStale, { deadlineMs: 20_000, what: 'the metric' })
  })

  it('include the usual metrics of a Node process', async () => {
    const sidecar = await sidecarForTest()
    const names = [...(await scrape(sidecar)).keys()]
    expect(names).toContain('process_resident_memory_bytes')
    expect(names).toContain('nodejs_eventloop_lag_p99_seconds')
  })

  it('contain no user name and nothing that a client sent', async () => {
    const sidecar = await sidecarWithAnswer(OK)
    await sidecar.request({ as: ALICE, path: '/v2/secret-project/manifests/latest' })
    await sidecar.request({ as: 'mallory:guess', path: '/v2/' })
    expect((await askAdmin(sidecar, '/metrics')).text).not.toMatch(
      /alice|mallory|secret-project|127\.0\.0\.1/,
    )
  })
})
