import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { describeInBrowser, startBrowser } from '../fixtures/browser.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import {
  accessibilityFaults,
  openSharedPage,
  overflow,
  takeScreenshot,
  VIEWS,
  type View,
} from '../fixtures/page-views.ts'
import { isStress } from '../fixtures/repetitions.ts'
import { ALICE, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { busySnapshot, withoutNames } from '../fixtures/status-snapshots.ts'
import { startStatusServer, type StatusServer } from '../fixtures/status-server.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const [username = '', password = ''] = ALICE.split(':')

// The browser sends the login when a page asks for it.
const SEEN_BY_USERS = VIEWS.map(({ name, options }) => ({
  name,
  options: { ...options, httpCredentials: { username, password } },
}))
const PHONE_LIGHT = SEEN_BY_USERS.filter(({ name }) => name === 'phone, light')
const DESKTOP_DARK = SEEN_BY_USERS.filter(({ name }) => name === 'desktop, dark')
const WITH_SCRIPTS = DESKTOP_DARK[0] ?? { options: {} }
const WITHOUT_SCRIPTS = { options: { javaScriptEnabled: false } }

describeInBrowser('in Chromium', () => {
  let sidecar: TestSidecar
  let own: TestSidecar
  let busy: StatusServer
  let nameless: StatusServer
  let browser: Browser
  const folder = makeTempFolder()

  beforeAll(async () => {
    const authority = createAuthority()
    const { certPem, keyPem } = authority.issue()
    const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')]
    writeFileSync(cert, certPem)
    writeFileSync(key, keyPem)
    const rules = path.join(folder, 'access.yaml')
    writeFileSync(rules, `rules: [{who: ${username}, repositories: ["**"], allow: [pull]}]\n`)
    sidecar = await startSidecar()
    const env = { SIDECAR_TLS_CERT: cert, SIDECAR_TLS_KEY: key, SIDECAR_ACCESS: rules }
    own = await startSidecar({ rootPem: authority.rootPem, env })
    busy = await startStatusServer(busySnapshot(6))
    nameless = await startStatusServer(withoutNames(busySnapshot(6)))
    browser = await startBrowser([sidecar.root.pem, authority.rootPem])
  })
  afterAll(async () => {
    await browser.close()
    busy.close()
    nameless.close()
    await Promise.all([sidecar.stop(), own.stop()])
    removeFolder(folder)
  })

  const PAGES: readonly {
    readonly what: string
    readonly address: () => string
    readonly hasAllParts?: true
    readonly expectedComplaints?: readonly string[]
    /** Without `npm run test:stress`. Pages with the same parts share them out. */
    readonly views: readonly View[]
  }[] = [
    {
      what: 'the trust page',
      address: () => `https://localhost:${sidecar.port}/-/`,
      hasAllParts: true,
      views: [...PHONE_LIGHT, ...DESKTOP_DARK],
    },
    {
      what: 'the trust page with a certificate of an authority',
      address: () => `https://localhost:${own.port}/-/`,
      views: DESKTOP_DARK,
    },
    {
      what: 'the status page',
      address: () => `https://localhost:${sidecar.port}/-/status`,
      views: PHONE_LIGHT,
    },
    {
      what: 'the status page for a user without the right',
      address: () => `https://localhost:${own.port}/-/status`,
      views: PHONE_LIGHT,
      expectedComplaints: ['Failed to load resource: the server responded with a status of 403 (Forbidden)'],
    },
    {
      what: 'the status page of the admin address',
      address: () => `http://127.0.0.1:${sidecar.adminAddress?.port ?? 0}/`,
      views: DESKTOP_DARK,
    },
    {
      what: 'the status page of a busy registry',
      address: () => busy.address,
      hasAllParts: true,
      views: [...PHONE_LIGHT, ...DESKTOP_DARK],
    },
    {
      what: 'the status page of a busy registry without names',
      address: () => nameless.address,
      views: PHONE_LIGHT,
    },
  ]

  describe.each(PAGES)('$what', ({ what, address, views, expectedComplaints = [] }) => {
    it('has no fault on a phone and a desktop, light and dark', async () => {
      for (const view of isStress ? SEEN_BY_USERS : views) {
        const { page, requests, complaints } = await openSharedPage(browser, address(), view)
        const { name } = view
        if (isStress) await takeScreenshot(page, `${what} ${name}`)
        // Folded and hidden parts too.
        await page.evaluate(OPEN_DETAILS)
        const day = page.getByLabel('24 hours')
        if ((await day.count()) > 0) await day.check()
        expect(await accessibilityFaults(page), name).toEqual([])
        expect(await overflow(page), `${name}: pixels beyond the window`).toBe(0)
        const foreign = requests.filter((url) => !url.startsWith(new URL(address()).origin))
        expect(foreign, name).toEqual([])
        expect(complaints, name).toEqual(expectedComplaints)
      }
    })
  })

  describe.each(PAGES.filter(({ hasAllParts = false }) => hasAllParts))('$what', ({ address }) => {
    it('can be used with the keyboard alone', async () => {
      const { page } = await openSharedPage(browser, address(), WITH_SCRIPTS)
      await page.evaluate(OPEN_DETAILS)
      const wanted = await page.evaluate<readonly string[]>(LIST_CONTROLS)
      expect(wanted.length).toBeGreaterThan(0)
      for (const control of wanted) {
        await page.keyboard.press('Tab')
        expect(await page.evaluate(DESCRIBE_FOCUS)).toBe(`${control}, visible`)
      }
    })

    it('shows the same with scripts off', async () => {
      const [on, off] = await Promise.all(
        [WITH_SCRIPTS, WITHOUT_SCRIPTS].map(async (options) => {
          const { page } = await openSharedPage(browser, address(), options)
          return {
            page,
            texts: await page.locator(':is(h1, h2, h3, p, li, th, td, pre):visible').allInnerTexts(),
          }
        }),
      )
      if (on === undefined || off === undefined) throw new Error('no page')
      expect(off.texts.length).toBeGreaterThan(10)
      expect(withoutState(off.texts)).toEqual(withoutState(on.texts))
      expect(await off.page.getByRole('button').count()).toBe(0)
    })
  })

  describe('the copy button', () => {
    async function pressCopy(permissions: readonly string[]): Promise<{ page: Page; text: string | null }> {
      const { page } = await openSharedPage(browser, `https://localhost:${sidecar.port}/-/`, WITH_SCRIPTS)
      await page.context().grantPermissions([...permissions])
      onTestFinished(() => page.context().clearPermissions())
      const button = page.getByRole('button', { name: 'Copy the commands for Docker' })
      await button.focus()
      await page.keyboard.press('Enter')
      return { page, text: await page.locator('pre', { hasText: '/etc/docker/certs.d' }).textContent() }
    }

    it('copies the commands', async () => {
      const { page, text } = await pressCopy(['clipboard-read', 'clipboard-write'])
      await page.getByRole('status').getByText('Copied').waitFor()
      expect(await page.evaluate('navigator.clipboard.readText()')).toBe(text)
      expect(text).toMatch(/^sudo install .*ca\.crt$/)
    })

    it('selects the commands if the browser does not let it copy', async () => {
      const { page, text } = await pressCopy([])
      await page.getByRole('status').getByText('Selected').waitFor()
      expect(await page.evaluate('getSelection().toString()')).toBe(text)
    })
  })

  it('shows the charts of a day with scripts off', async () => {
    const { page } = await openSharedPage(browser, busy.address, WITHOUT_SCRIPTS)
    const throughput = page.getByRole('img', { name: 'Throughput, last 24 hours' })
    expect(await throughput.isVisible()).toBe(false)
    await page.getByLabel('24 hours').check()
    expect(await throughput.isVisible()).toBe(true)
  })
})

/** Without the line that says whether the page is live. */
function withoutState(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => !text.startsWith('Updated at'))
}

const OPEN_DETAILS = `for (const details of document.querySelectorAll('details')) details.open = true`

/** All controls that are not hidden, in their order. One radio button of a group gets the focus. */
const LIST_CONTROLS = `
  [...document.querySelectorAll('a, button, summary, input:checked, [tabindex="0"]')]
    .filter((control) => control.checkVisibility())
    .map((control) => control.tagName + ' ' + control.textContent.trim())`

const DESCRIBE_FOCUS = `
  (() => {
    const { activeElement } = document
    const isOutlined = getComputedStyle(activeElement).outlineStyle === 'solid'
    return activeElement.tagName + ' ' + activeElement.textContent.trim() + (isOutlined ? ', visible' : ', not visible')
  })()`
