import { describe, expect, it } from 'vitest'
import type { StatusSnapshot } from '../../src/observability/status-snapshot.ts'
import { STATUS_PAGE_HEADERS, statusPage, statusSections } from '../../src/http/pages/status-page.ts'
import { expectStrictPolicy } from '../fixtures/strict-policy.ts'
import { busySnapshot, IDLE_SNAPSHOT, withoutNames } from '../fixtures/status-snapshots.ts'

const PLACE = { events: '/events', links: ['/healthz'] } as const

const page = (snapshot: StatusSnapshot): Promise<string> => statusPage(snapshot, PLACE)

/** The text of one section as people read it. */
async function sectionText(snapshot: StatusSnapshot, id: string): Promise<string> {
  const { [id]: section = '' } = await statusSections(snapshot)
  return section
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

describe('the status page', () => {
  it('allows its own style and script and the events of its own address alone', async () => {
    const headers = STATUS_PAGE_HEADERS
    expectStrictPolicy({ headers }, await page(busySnapshot(3)), "connect-src 'self'; ")
  })

  it('has each section that an event can carry', async () => {
    const snapshot = busySnapshot(3)
    const text = await page(snapshot)
    const sections = await statusSections(snapshot)
    expect(Object.keys(sections)).toEqual([
      ...['updated', 'health', 'load', 'transfers', 'charts'],
      ...['operations', 'refusals', 'users', 'certificates', 'changes'],
    ])
    for (const [id, section] of Object.entries(sections)) {
      expect(text).toMatch(new RegExp(`<(?:section|span) id="${id}"`))
      expect(text).toContain(section)
    }
  })

  it('says of each part how it is and how to repair it', async () => {
    const text = await sectionText(busySnapshot(1), 'health')
    expect(text).toContain('✕ Not ready')
    expect(text).toContain(
      'Registry ✕ unreachable (not ready) connect ECONNREFUSED 127.0.0.1:5000 start the registry, or set SIDECAR_UPSTREAM',
    )
    expect(text).toContain('Users ▲ stale the users file cannot be read')
    expect(text).toContain('Certificate ✓ OK 59 days left')
    expect(await sectionText(IDLE_SNAPSHOT, 'health')).toContain('✓ Ready')
  })

  it('shows the progress, rate and remaining time of a transfer', async () => {
    const snapshot = busySnapshot(5)
    const text = await sectionText(snapshot, 'transfers')
    expect(text).toContain('team/api : v1.1 pull bob 192.0.2.1 containers/5.36')
    expect(text).toContain('191 MiB of 763 MiB, 25 % 2.4 MiB/s 15 s about 4 min')
    expect(text).toContain('143 MiB of an unknown length')
    expect((await statusSections(snapshot))['transfers']).toContain('max="100" value="25"')
  })

  it('lists operations, refusals, users, certificates and changes', async () => {
    const snapshot = busySnapshot(5)
    expect(await sectionText(snapshot, 'operations')).toContain(
      '12:34:56 push team/web @ sha256:0123456789ab… alice 192.0.2.0 docker/28.5.1 2.9 MiB 1.7 s ✓ ok',
    )
    expect(await sectionText(snapshot, 'refusals')).toContain(
      'action denied (403) no rule allows it 1 bob 192.0.2.1 containers/5.36 team/api',
    )
    expect(await sectionText(snapshot, 'users')).toMatch(
      /alice everything 2 10 bob pull team\/\*\* , push team\/web 0 12 eve none 0 10$/,
    )
    expect(await sectionText(snapshot, 'certificates')).toContain(
      'CA of client certificates 2027-03-05 ▲ 3 days',
    )
    expect(await sectionText(snapshot, 'changes')).toContain('11:00:00 file loaded ✕ failed htpasswd')
    expect(await sectionText(snapshot, 'changes')).toContain('2027-02-28 03:00:00 certificate renewed ✓ done')
  })

  it('describes the charts in words', async () => {
    const series = { ...IDLE_SNAPSHOT.series, receivedBytes: [0, 60 * 1024, 0, 120 * 1024], requests: [1, 2] }
    const text = await sectionText({ ...IDLE_SNAPSHOT, series }, 'charts')
    expect(text).toContain('Throughput, last 15 minutes Received: last 2.0 KiB/s, peak 2.0 KiB/s')
    expect(text).toContain('Requests per minute, last 15 minutes All: last 2, peak 2 Failed: no data yet')
  })

  it('says in words that there is nothing', async () => {
    const text = await page(IDLE_SNAPSHOT)
    for (const sentence of [
      'Nobody pushes or pulls at the moment.',
      'No push or pull since the start.',
      'Nothing was refused since the start.',
      'No reload and no renewal since the start.',
      'There are no users yet, so nobody can log in.',
    ])
      expect(text).toContain(sentence)
  })

  it('leaves out columns of names without names', async () => {
    const text = await page(withoutNames(busySnapshot(5)))
    for (const title of ['Repository', 'Image', 'User', 'Client', 'Detail'])
      expect(text).not.toContain(`<th scope="col">${title}</th>`)
    expect(text).not.toContain('id="users"')
    expect(text).not.toMatch(/alice|team\/|192\.0\.2|htpasswd</)
    expect(text).toContain('191 MiB of 763 MiB, 25 %')
  })

  it('shows names that a client chose as text, and shortens long ones', async () => {
    const evil = `"><img src=x onerror=alert(1)>'&\u202e`
    const names = { user: evil, address: evil, repository: evil, reference: `${evil}:`, detail: evil }
    const busy = busySnapshot(1)
    const text = await page({
      ...busy,
      version: evil,
      parts: { [evil]: { ready: false, state: evil, reason: evil, hint: evil } },
      transfers: busy.transfers.map((transfer) => ({ ...transfer, id: evil, names })),
      operations: busy.operations.map((operation) => ({ ...operation, outcome: evil, names })),
      refusals: busy.refusals.map((refusal) => ({ ...refusal, reason: evil, names })),
      changes: [{ at: evil, event: evil, outcome: evil, names }],
      users: [{ user: 'a'.repeat(10_000), cost: 10, machinePasswords: 0, rights: [evil] }],
    })
    expect(text).not.toContain('<img')
    expect(text).toContain('<bdi>&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&#39;&amp;')
    expect(text.match(/&lt;img src=x/g)?.length).toBeGreaterThan(15)
    expect(text).toContain(`<bdi>${'a'.repeat(100)}…</bdi>`)
  })

  it('shows the first rows of a long list', async () => {
    const text = await page({ ...busySnapshot(200) })
    expect(text.match(/data-key="transfer-/g)).toHaveLength(25)
    expect(text).toContain('and 175 more')
  })
})
