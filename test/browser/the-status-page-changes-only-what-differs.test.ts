import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import type { StatusSnapshot } from '../../src/observability/status-snapshot.ts'
import { describeInBrowser, startBrowser } from '../fixtures/browser.ts'
import { openPage, openSharedPage } from '../fixtures/page-views.ts'
import { busySnapshot, IDLE_SNAPSHOT } from '../fixtures/status-snapshots.ts'
import { startStatusServer, type StatusServer } from '../fixtures/status-server.ts'
import { until } from '../fixtures/until.ts'

const BUSY = busySnapshot(5)
const [, SECOND, ...REST] = BUSY.transfers
/** The first transfer has ended, another one has begun, and the second has moved. */
const LATER: StatusSnapshot = {
  ...BUSY,
  at: '2027-03-01T12:34:57.000Z',
  transfers: [
    ...(SECOND === undefined ? [] : [{ ...SECOND, bytes: 600_000_000 }]),
    ...REST,
    { id: 'new', operation: 'pull', bytes: 1, length: 2, bytesPerSecond: 1, seconds: 1 },
  ],
  operations: [
    { at: '2027-03-01T12:34:57.000Z', operation: 'push', outcome: 'ok', bytes: 1, seconds: 1 },
    ...BUSY.operations,
  ],
}

/** Rows with the same key. */
const AT_ONCE: StatusSnapshot = {
  ...BUSY,
  operations: BUSY.operations.map((operation) => ({ ...operation, at: BUSY.at })),
}

describeInBrowser('the status page in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser([])
  })
  afterAll(() => browser.close())

  async function openLive(snapshot: StatusSnapshot): Promise<{ server: StatusServer; page: Page }> {
    const server = await startStatusServer(snapshot)
    onTestFinished(() => {
      server.close()
    })
    const { page } = await openSharedPage(browser, server.address, { options: {} })
    await page.getByText('Live', { exact: true }).waitFor()
    return { server, page }
  }

  it('shows an update without a reload, and keeps focus, selection, scroll position and the chosen period', async () => {
    const { server, page } = await openLive(BUSY)
    await page.getByLabel('24 hours').check()
    await page.evaluate(`(() => {
      const cell = document.querySelector('[data-key="transfer-2"] th')
      getSelection().selectAllChildren(cell)
      scrollTo(0, 300)
      window.before = { row: cell.parentNode, focus: document.activeElement }
    })()`)
    await server.show(LATER)
    await page.getByText('12:34:57').first().waitFor()
    expect(await page.locator('#transfers tbody tr').count()).toBe(5)
    expect(await page.locator('[data-key="transfer-0"]').count()).toBe(0)
    expect(await page.locator('[data-key="transfer-1"] progress').getAttribute('value')).toBe('75')
    expect(await page.locator('#operations tbody tr').count()).toBe(6)
    const kept = await page.evaluate(`({
      row: window.before.row === document.querySelector('[data-key="transfer-2"]'),
      focus: document.activeElement === window.before.focus && document.activeElement.id,
      selection: getSelection().toString().trim(),
      scroll: scrollY,
      day: document.getElementById('day').checked,
    })`)
    expect(kept).toEqual({
      row: true,
      focus: 'day',
      selection: 'library/postgres:v1.2',
      scroll: 300,
      day: true,
    })
  })

  it('shows in the end what the server renders', async () => {
    const { server, page } = await openLive(BUSY)
    for (const snapshot of [LATER, IDLE_SNAPSHOT, AT_ONCE, BUSY, AT_ONCE]) await server.show(snapshot)
    await page.locator('#operations', { hasText: /(?:12:34:56.*){5}/s }).waitFor()
    const live = await page.locator('main').innerHTML()
    await page.reload()
    await page.getByText('Live', { exact: true }).waitFor()
    expect(live).toBe(await page.locator('main').innerHTML())
  })

  it('says that the connection is lost, and connects again by itself', async () => {
    const { server, page } = await openLive(BUSY)
    server.goDown()
    await page.getByText('Connection lost').waitFor()
    await server.show(IDLE_SNAPSHOT)
    server.comeBack()
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByText('Nobody pushes or pulls').waitFor()
  })

  it('connects again after 15 seconds without a message', async () => {
    const server = await startStatusServer(BUSY)
    onTestFinished(() => {
      server.close()
    })
    const { page } = await openPage(browser, 'about:blank', { options: {} })
    await page.clock.install()
    await page.goto(server.address)
    await page.getByText('Live', { exact: true }).waitFor()
    const requests: string[] = []
    page.on('request', (request) => requests.push(request.url()))
    await page.clock.runFor(14_000)
    expect(requests).toEqual([])
    await page.clock.runFor(2_000)
    await until(() => requests.length > 0, { deadlineMs: 5000, what: 'a new connection' })
  })

  it('disconnects while it is hidden', async () => {
    const { server, page } = await openLive(BUSY)
    const hide = (hidden: boolean): Promise<unknown> =>
      page.evaluate(`(() => {
        Object.defineProperty(document, 'hidden', { value: ${String(hidden)}, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))
      })()`)
    await hide(true)
    await page.getByText('Paused').waitFor()
    await until(() => server.viewers === 0, { deadlineMs: 5000, what: 'the end of the connection' })
    await hide(false)
    await page.getByText('Live', { exact: true }).waitFor()
  })
})
