import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeInBrowser, startBrowser } from '../fixtures/browser.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { accessibilityFaults, openPage, overflow, takeScreenshot, VIEWS } from '../fixtures/page-views.ts'
import { isStress } from '../fixtures/repetitions.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

// Usually a light phone and a dark desktop.
const SHOWN = VIEWS.filter((_view, index) => isStress || index % 3 === 0)

describeInBrowser('in Chromium', () => {
  let sidecar: TestSidecar
  let own: TestSidecar
  let browser: Browser
  const folder = makeTempFolder()

  beforeAll(async () => {
    const authority = createAuthority()
    const { certPem, keyPem } = authority.issue()
    const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')]
    writeFileSync(cert, certPem)
    writeFileSync(key, keyPem)
    sidecar = await startSidecar()
    const env = { SIDECAR_TLS_CERT: cert, SIDECAR_TLS_KEY: key }
    own = await startSidecar({ rootPem: authority.rootPem, env })
    browser = await startBrowser([sidecar.root.pem, authority.rootPem])
  })
  afterAll(async () => {
    await browser.close()
    await Promise.all([sidecar.stop(), own.stop()])
    removeFolder(folder)
  })

  const PAGES: readonly { readonly what: string; readonly address: () => string }[] = [
    { what: 'the trust page', address: () => `https://localhost:${sidecar.port}/-/` },
    {
      what: 'the trust page with a certificate of an authority',
      address: () => `https://localhost:${own.port}/-/`,
    },
    { what: 'the status page', address: () => `http://127.0.0.1:${sidecar.adminAddress?.port ?? 0}/` },
  ]

  describe.each(PAGES)('$what', ({ what, address }) => {
    // At the same time, because each page waits until it makes no more requests.
    it('has no fault on a phone and a desktop, light and dark', async () => {
      expect(SHOWN).toHaveLength(isStress ? 4 : 2)
      await Promise.all(
        SHOWN.map(async ({ name, options }) => {
          const { page, requests, complaints } = await openPage(browser, address(), { options })
          if (isStress) await takeScreenshot(page, `${what} ${name}`)
          expect(await accessibilityFaults(page), name).toEqual([])
          expect(await overflow(page), `${name}: pixels beyond the window`).toBe(0)
          expect(
            requests.filter((url) => !url.startsWith(new URL(address()).origin)),
            name,
          ).toEqual([])
          expect(complaints, name).toEqual([])
        }),
      )
    })

    it('says the same with scripts off', async () => {
      const [on, off] = await Promise.all(
        [true, false].map((javaScriptEnabled) =>
          openPage(browser, address(), { options: { javaScriptEnabled } }),
        ),
      )
      const text = await off?.page.locator('body').innerText()
      expect(text).toMatch(/registry/)
      expect(text).toBe(await on?.page.locator('body').innerText())
    })
  })
})
