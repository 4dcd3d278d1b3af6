import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { renewCert, showCert } from '../../../src/cli/cert/cert.ts'
import type { World } from '../../../src/app/world.ts'
import { parseConfig, type Config } from '../../../src/settings/config.ts'
import { InvalidFileError } from '../../../src/errors/errors.ts'
import { issueLeaf, issueRoot } from '../../../src/pki/issue.ts'
import { openKeystore, type Keystore } from '../../../src/certificates/state-folder/keystore.ts'
import { run, start } from '../../fixtures/process.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const DAY_MS = 86_400_000

interface Scene {
  readonly stateDir: string
  readonly keystore: Keystore
  readonly config: Config
}

async function setScene(env: Record<string, string> = {}): Promise<Scene> {
  const stateDir = path.join(tempFolder(), 'state')
  const names = [{ type: 'dns', value: 'proxy' } as const, { type: 'ip', value: '10.0.0.1' } as const]
  const keystore = await openKeystore({ folder: stateDir, names, now: NOW })
  return { stateDir, keystore, config: parseConfig({ env: { SIDECAR_STATE_DIR: stateDir, ...env } }) }
}

async function show(config: Config, { json = false, days = 0 } = {}): Promise<string> {
  const { world, printed } = createWorld()
  const clock = () => new Date(NOW.getTime() + days * DAY_MS)
  expect(await showCert({ config, json, clock }, world)).toBe(0)
  return printed()
}

async function renew(config: Config, { json = false, root = false } = {}): Promise<string> {
  const { world, printed } = createWorld()
  expect(await renewCert({ config, root, json, clock: () => NOW }, world)).toBe(0)
  return printed()
}

function createWorld(): { readonly world: World; readonly printed: () => string } {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const world = { env: {}, stdin, stdout, stderr, onSignal: () => () => undefined }
  return { world, printed: () => ((stdout.read() as Buffer | null) ?? '').toString() }
}

describe('cert show prints', () => {
  it('the served certificate, its validity and its renewal', async () => {
    const { stateDir, keystore, config } = await setScene()
    expect((await show(config)).split('\n')).toEqual([
      `leaf         ${stateDir}/leaf.crt`,
      'names        proxy, 10.0.0.1',
      `SHA-256      ${keystore.bundle.leaf.fingerprint}`,
      'valid from   2029-12-31',
      'valid until  2030-03-31 (89 days left)',
      'renewal      from 2030-03-01, by the running sidecar; clients do not notice',
      '',
      `root         ${stateDir}/root.crt`,
      `SHA-256      ${keystore.root.fingerprint}`,
      'valid until  2039-12-29',
      'permits      any name',
      '',
    ])
  })

  it('one document with --json', async () => {
    const { stateDir, keystore, config } = await setScene()
    expect(JSON.parse(await show(config, { json: true }))).toEqual({
      origin: 'issued',
      leaf: {
        path: path.join(stateDir, 'leaf.crt'),
        names: ['proxy', '10.0.0.1'],
        fingerprint: keystore.bundle.leaf.fingerprint,
        notBefore: '2029-12-31T23:00:00.000Z',
        notAfter: '2030-03-31T23:00:00.000Z',
        daysLeft: 89,
        renewedFrom: '2030-03-01T23:00:00.000Z',
      },
      root: {
        path: path.join(stateDir, 'root.crt'),
        fingerprint: keystore.root.fingerprint,
        notAfter: '2039-12-29T23:00:00.000Z',
        permitted: null,
      },
      earlierRoots: [],
    })
  })

  it('an expired leaf, and a leaf that ends with its root', async () => {
    const { stateDir, config } = await setScene()
    expect(await show(config, { days: 91 })).toContain('valid until  2030-03-31 (expired)\n')
    const late = new Date(NOW.getTime() + 3600 * DAY_MS)
    const names = [{ type: 'dns', value: 'proxy' } as const]
    await openKeystore({ folder: stateDir, names, now: late })
    expect(await show(config, { days: 3600 })).toContain(
      'renewal      none, because the leaf expires together with its root\n',
    )
    expect(JSON.parse(await show(config, { json: true }))).toMatchObject({ leaf: { renewedFrom: null } })
  })

  it('the operator’s certificate, which its issuer renews', async () => {
    const folder = tempFolder()
    const root = issueRoot({ now: NOW })
    const leaf = issueLeaf({ root, names: [{ type: 'dns', value: 'own.example' }], now: NOW })
    const certFile = path.join(folder, 'tls.crt')
    writeFileSync(certFile, leaf.certPem)
    const { config } = await setScene({ SIDECAR_TLS_CERT: certFile, SIDECAR_TLS_KEY: 'tls.key' })
    const text = await show(config)
    expect(text).toContain(`leaf         ${certFile}\nnames        own.example\n`)
    expect(text).toContain('renewal      by its issuer; the sidecar cannot renew it\n')
    expect(text).toContain('root         not in the chain; get it from the issuer\n')
    expect(JSON.parse(await show(config, { json: true }))).toMatchObject({ origin: 'own', root: null })
    await expect(renew(config)).rejects.toThrow(
      /the sidecar cannot renew .*tls\.crt, because another CA issued it/,
    )
  })

  it('an error with the fix when the root is missing', async () => {
    const { stateDir, config } = await setScene()
    rmSync(path.join(stateDir, 'leaf.crt'))
    await expect(show(config)).rejects.toThrow(
      /leaf\.crt: is missing; start the sidecar, or run .*cert renew/,
    )
    const nowhere = parseConfig({ env: { SIDECAR_STATE_DIR: path.join(stateDir, 'nowhere') } })
    await expect(show(nowhere)).rejects.toThrow(/root\.crt: does not exist yet; start the sidecar once/)
    await expect(show(nowhere)).rejects.toThrow(InvalidFileError)
  })
})

describe('cert renew', () => {
  it('issues another leaf, and says that nothing changes for clients', async () => {
    const { stateDir, keystore, config } = await setScene()
    const text = await renew(config)
    const { fingerprint256 } = new X509Certificate(readFileSync(path.join(stateDir, 'leaf.crt')))
    expect(fingerprint256).not.toBe(keystore.bundle.leaf.fingerprint)
    expect(text).toMatch(/^issued a new leaf; the root is the same\n/)
    expect(text).toContain(`SHA-256      ${fingerprint256}\n`)
    expect(text).toContain('serves the new leaf within 2 seconds. Nothing changes for clients.\n')
    expect(text).not.toContain('SIDECAR_HOSTS')
  })

  it('prints one document with --json', async () => {
    const { keystore, config } = await setScene()
    expect(JSON.parse(await renew(config, { json: true }))).toMatchObject({
      origin: 'issued',
      leaf: { names: ['proxy', '10.0.0.1'] },
      root: { fingerprint: keystore.root.fingerprint },
    })
  })

  it('lists the names of the settings that the leaf lacks', async () => {
    const { config } = await setScene({ SIDECAR_HOSTS: 'proxy,new.example' })
    expect(await renew(config)).toContain('A sidecar started with this SIDECAR_HOSTS adds new.example.\n')
  })
})

describe('cert renew --root', () => {
  it('prints the new root, the deadline for clients, and the steps after a theft', async () => {
    const { stateDir, keystore, config } = await setScene()
    const lines = (await renew(config, { root: true })).split('\n')
    const { fingerprint256, issuer } = new X509Certificate(readFileSync(path.join(stateDir, 'root.crt')))
    expect(fingerprint256).not.toBe(keystore.root.fingerprint)
    expect(new X509Certificate(readFileSync(path.join(stateDir, 'leaf.crt'))).issuer).toBe(issuer)
    expect(lines[0]).toBe('issued a new root and a new leaf')
    expect(lines.slice(-12)).toEqual([
      `root         ${stateDir}/root.crt`,
      `SHA-256      ${fingerprint256}`,
      'valid until  2039-12-29',
      'permits      any name',
      `earlier root ${keystore.root.fingerprint} until 2039-12-29`,
      '',
      'A sidecar that uses this state folder serves the new leaf within 2 seconds.',
      'Until 2039-12-29, clients that trust only the earlier root accept the new leaf too. Make every client trust',
      'the new root before that day: `registry-sidecar trust` shows how.',
      'If the key of the earlier root was stolen, this is not enough, because clients still trust that root. Then',
      'empty this folder, start again, and make every client trust the new root (`registry-sidecar trust` shows how).',
      '',
    ])
  })

  it('prints one document with --json', async () => {
    const { stateDir, keystore, config } = await setScene()
    const document = JSON.parse(await renew(config, { root: true, json: true })) as unknown
    const { fingerprint256 } = new X509Certificate(readFileSync(path.join(stateDir, 'root.crt')))
    const { fingerprint } = keystore.root
    expect(document).toMatchObject({
      leaf: { names: ['proxy', '10.0.0.1'] },
      root: { fingerprint: fingerprint256 },
      earlierRoots: [{ fingerprint, notAfter: '2039-12-29T23:00:00.000Z', permitted: null }],
      clients: { trustRootBy: '2039-12-29T23:00:00.000Z' },
    })
  })

  it('shows the earlier root in cert show from then on', async () => {
    const { keystore, config } = await setScene()
    await renew(config, { root: true })
    const { fingerprint } = keystore.root
    expect(await show(config)).toContain(`\nearlier root ${fingerprint} until 2039-12-29\n`)
    expect(JSON.parse(await show(config, { json: true }))).toMatchObject({ earlierRoots: [{ fingerprint }] })
    expect(await show(config, { days: 3650 })).not.toContain('earlier root ')
  })

  it('issues a root that permits the names of the current settings', async () => {
    const { config } = await setScene({ SIDECAR_CA_CONSTRAIN: 'true', SIDECAR_HOSTS: 'new.example' })
    const text = await renew(config, { root: true })
    expect(text).toMatch(/permits {6}(?=.*new\.example)(?=.*proxy).*10\.0\.0\.1\n/)
    expect(text).toContain('A sidecar started with this SIDECAR_HOSTS adds new.example.\n')
  })

  it('lists the names that the earlier root forbids, with the fix', async () => {
    const { config, stateDir } = await setScene({ SIDECAR_CA_CONSTRAIN: 'true' })
    await renew(config, { root: true })
    const wider = parseConfig({ env: { SIDECAR_STATE_DIR: stateDir, SIDECAR_HOSTS: 'new.example' } })
    expect(await renew(wider)).toMatch(
      /does not start with new\.example in its SIDECAR_HOSTS, because\nthe root does not permit it: `registry-sidecar cert renew --root`/,
    )
    expect(await renew(wider, { root: true })).toMatch(
      /does not start with new\.example in its SIDECAR_HOSTS, because\nan earlier root does not permit it; once every client .* remove cross\.crt and leaf\.crt/,
    )
    expect(await show(wider)).toMatch(/earlier root [0-9A-F:]{95} until 2039-12-29, for .*proxy.* only\n/)
  })
})

describe('the commands', () => {
  it('work on the folder of a running sidecar, which then serves the new leaf', async () => {
    const cwd = tempFolder()
    mkdirSync(path.join(cwd, 'users'))
    const sidecar = start([], {
      cwd,
      env: { SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: '127.0.0.1:0' },
    })
    await sidecar.line(/ready to serve/)
    const before = JSON.parse((await run(['cert', 'show', '--json'], { cwd })).stdout) as Shown
    const renewed = await run(['cert', 'renew', '--json'], { cwd })
    expect(renewed).toMatchObject({ code: 0, stderr: '' })
    const after = JSON.parse(renewed.stdout) as Shown
    expect(after.leaf.names).toEqual(before.leaf.names)
    expect(after.leaf.fingerprint).not.toBe(before.leaf.fingerprint)
    // The sidecar may also renew the leaf itself, because containers of other tests bring new addresses. Then it serves
    // the leaf after this one.
    await until(
      async () => {
        const { leaf } = JSON.parse((await run(['cert', 'show', '--json'], { cwd })).stdout) as Shown
        const served = new RegExp(`${leaf.fingerprint}.*leaf renewed under the same root`)
        return leaf.fingerprint !== before.leaf.fingerprint && served.test(sidecar.stdout())
      },
      { deadlineMs: 10_000, what: 'the new leaf' },
    )
    const rooted = await run(['cert', 'renew', '--root', '--json'], { cwd })
    expect(rooted).toMatchObject({ code: 0, stderr: '' })
    const { root } = JSON.parse(rooted.stdout) as Shown
    expect(await sidecar.line(/root renewed: make clients trust it/)).toContain(root.fingerprint)
    expect(await run(['cert', 'show'], { cwd: tempFolder() })).toMatchObject({ code: 1, stdout: '' })
  })
})

interface Shown {
  readonly leaf: { readonly names: readonly string[]; readonly fingerprint: string }
  readonly root: { readonly fingerprint: string }
}
