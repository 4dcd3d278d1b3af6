// Tests a root that several sidecars share in a folder that they only read.

import { X509Certificate } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

import { createExpiryWarnings } from '../../../src/certificates/expiry-warnings.ts'
import { keepLeafRenewed } from '../../../src/certificates/leaf-renewal.ts'
import { openKeystore, renewLeaf, renewRoot } from '../../../src/certificates/state-folder/keystore.ts'
import { createPublicRoot, publicRootFile } from '../../../src/certificates/state-folder/public-root.ts'
import { readAuthority, readLeaf, readRoot } from '../../../src/certificates/state-folder/stored-state.ts'
import { openTokenKey } from '../../../src/certificates/state-folder/token-key.ts'
import { createManualClock } from '../../fixtures/manual-clock.ts'
import { asNobody, giveToNobody } from '../../fixtures/nobody.ts'
import { recordedLog } from '../../fixtures/recorded-log.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const NAMES = [{ type: 'dns', value: 'proxy' }] as const
const CREATE_KEY = 'head -c 32 /dev/urandom > token.key'

interface Scene {
  /** The state folder in which the root is created and renewed. */
  readonly home: string
  readonly rootFolder: string
  /** Names another replica at each call. */
  readonly replica: () => { readonly folder: string; readonly rootFolder: string }
  /** Copies what a renewal of the root changes. */
  readonly copyRoot: () => void
}

async function setScene(): Promise<Scene> {
  const parent = tempFolder()
  const [home, rootFolder] = [path.join(parent, 'home'), path.join(parent, 'root')]
  await openKeystore({ folder: home, names: NAMES, now: NOW })
  mkdirSync(rootFolder)
  writeFileSync(path.join(rootFolder, 'token.key'), Buffer.alloc(32, 7), { mode: 0o600 })
  const copyRoot = (): void => {
    const names = ['cross.crt', 'root.key', 'root.crt'].filter((name) => existsSync(path.join(home, name)))
    for (const name of names) copyFileSync(path.join(home, name), path.join(rootFolder, name))
  }
  copyRoot()
  let replicas = 0
  return {
    home,
    rootFolder,
    copyRoot,
    replica: () => ({ folder: path.join(parent, `replica-${replicas++}`), rootFolder }),
  }
}

const open = (
  place: ReturnType<Scene['replica']>,
  options: Partial<Parameters<typeof openKeystore>[0]> = {},
) => openKeystore({ ...place, names: NAMES, now: NOW, ...options })

/** Names, contents, modes and times of the files. */
function snapshot(folder: string): readonly unknown[] {
  return [folder, ...readdirSync(folder).map((name) => path.join(folder, name))].map((file) => {
    const { mode, mtimeMs } = statSync(file)
    return { file, mode, mtimeMs, text: file === folder ? '' : readFileSync(file, 'hex') }
  })
}

it('issues a leaf for each replica, and writes nothing but the state folder', async () => {
  const { rootFolder, replica } = await setScene()
  const before = snapshot(rootFolder)
  const places = [replica(), replica()]
  const [one, other] = await Promise.all(places.map((place) => open(place)))
  if (one === undefined || other === undefined) throw new Error('a replica is missing')
  expect(one.root).toEqual(other.root)
  expect(one.root.file).toBe(path.join(rootFolder, 'root.crt'))
  expect(one.issued).toEqual({ root: false, leaf: true })
  expect(one.bundle.leaf.fingerprint).not.toBe(other.bundle.leaf.fingerprint)
  for (const { bundle } of [one, other])
    expect(new X509Certificate(bundle.certPem).checkIssued(new X509Certificate(one.root.pem))).toBe(true)
  for (const place of places) {
    expect(readdirSync(place.folder).sort()).toEqual(['leaf.crt', 'leaf.key'])
    await createPublicRoot(place, undefined).publish(one.root.pem)
    expect(readFileSync(publicRootFile(place.folder), 'utf8')).toBe(one.root.pem)
    expect((await open(place)).issued).toEqual({ root: false, leaf: false })
    expect(await openTokenKey(place, undefined)).toEqual(Buffer.alloc(32, 7))
  }
  expect(snapshot(rootFolder)).toEqual(before)
})

it('gives commands the same root, and renews only the leaf', async () => {
  const { rootFolder, replica } = await setScene()
  const place = replica()
  const { root } = await open(place)
  const before = snapshot(rootFolder)
  expect(await readRoot(place)).toEqual(root)
  expect(await readAuthority(place, NOW)).toEqual({ root, earlier: [] })
  const renewed = await renewLeaf({ ...place, names: () => NAMES, now: NOW })
  expect(renewed.root).toEqual(root)
  expect((await readLeaf(place)).leaf).toEqual(renewed.leaf)
  await expect(renewRoot({ ...place, names: () => NAMES, now: NOW })).rejects.toThrow(
    /root\.crt: is shared by replicas .* is not renewed here: run `registry-sidecar cert renew --root` .*then give the replicas the new root\.crt, root\.key and cross\.crt/,
  )
  expect(snapshot(rootFolder)).toEqual(before)
})

it('issues a leaf even if `cert renew` runs before the first start', async () => {
  const place = (await setScene()).replica()
  const { leaf } = await renewLeaf({ ...place, names: () => NAMES, now: NOW })
  expect((await open(place)).bundle.leaf).toEqual(leaf)
})

it.each(['root.crt', 'root.key'])(
  'refuses to start without %s, says the fix and creates nothing',
  async (name) => {
    const { rootFolder, replica } = await setScene()
    for (const lost of [[name], ['root.crt', 'root.key', 'token.key']]) {
      for (const file of lost) rmSync(path.join(rootFolder, file), { force: true })
      const before = readdirSync(rootFolder)
      const place = replica()
      const missing = lost.length > 1 ? 'root.crt' : name
      await expect(open(place)).rejects.toThrow(
        `${path.join(rootFolder, missing)}: is missing: put root.crt and root.key there; ` +
          'a sidecar with an empty SIDECAR_STATE_DIR creates them',
      )
      if (missing === 'root.crt')
        await expect(readRoot(place)).rejects.toThrow('put root.crt and root.key there')
      expect(readdirSync(rootFolder)).toEqual(before)
      expect(readdirSync(place.folder)).toEqual([])
    }
  },
)

it('refuses a key of another root', async () => {
  const { rootFolder, replica } = await setScene()
  const stranger = await setScene()
  copyFileSync(path.join(stranger.rootFolder, 'root.key'), path.join(rootFolder, 'root.key'))
  await expect(open(replica())).rejects.toThrow(/root\.key: does not belong to/)
})

it('refuses a missing token key, and creates none', async () => {
  const { rootFolder, replica } = await setScene()
  const place = replica()
  rmSync(path.join(rootFolder, 'token.key'))
  await expect(openTokenKey(place, undefined)).rejects.toThrow(
    new RegExp(`token\\.key: is missing, and the replicas must share one key: .*\`${CREATE_KEY}\``),
  )
  expect(readdirSync(rootFolder)).not.toContain('token.key')
})

it('refuses a token key of another size', async () => {
  const { rootFolder, replica } = await setScene()
  writeFileSync(path.join(rootFolder, 'token.key'), Buffer.alloc(31))
  await expect(openTokenKey(replica(), undefined)).rejects.toThrow(
    new RegExp(`token\\.key: has 31 bytes instead of 32: replace it .*\`${CREATE_KEY}\``),
  )
})

it('works without permission to write the root folder', async () => {
  const { rootFolder, replica } = await setScene()
  const place = replica()
  mkdirSync(place.folder)
  giveToNobody(place.folder)
  for (const name of ['root.key', 'token.key']) chmodSync(path.join(rootFolder, name), 0o444)
  const before = snapshot(rootFolder)
  await asNobody(async () => {
    expect((await open(place)).issued).toEqual({ root: false, leaf: true })
    expect(await openTokenKey(place, undefined)).toHaveLength(32)
  })
  expect(snapshot(rootFolder)).toEqual(before)
})

it.each([
  ['0444', 'warns of', 2],
  ['0440', 'says nothing about', 0],
])('leaves keys with mode %s as they are, and %s them', async (mode, _, warnings) => {
  const { rootFolder, replica } = await setScene()
  const keys = ['root.key', 'token.key'].map((name) => path.join(rootFolder, name))
  for (const key of keys) chmodSync(key, mode)
  const { log, lines } = recordedLog()
  const place = replica()
  await open(place, { log })
  await openTokenKey(place, log)
  const expected = keys.map((file) => ({ level: 40, event: 'key-readable-by-others', file, mode }))
  expect(lines).toMatchObject(expected.slice(0, warnings))
  for (const key of keys) expect(statSync(key).mode & 0o777).toBe(parseInt(mode, 8))
})

it('replaces a leaf that an own root issued before', async () => {
  const { replica } = await setScene()
  const { folder, rootFolder } = replica()
  const own = await openKeystore({ folder, names: NAMES, now: NOW })
  await renewRoot({ folder, names: () => NAMES, now: NOW })
  const shared = await open({ folder, rootFolder })
  expect(shared.root.fingerprint).not.toBe(own.root.fingerprint)
  expect(shared.issued).toEqual({ root: false, leaf: true })
  expect(new X509Certificate(shared.bundle.certPem).checkIssued(new X509Certificate(shared.root.pem))).toBe(
    true,
  )
})

it('serves a leaf under the renewed root that clients of the earlier root accept', async () => {
  const { home, replica, copyRoot } = await setScene()
  const place = replica()
  const keystore = await open(place)
  const before = keystore.root
  const renewed = await renewRoot({ folder: home, names: () => NAMES, now: NOW })
  copyRoot()
  await keystore.renewIfDue(NAMES, NOW)
  expect(keystore.root.fingerprint).toBe(renewed.root.fingerprint)
  const { earlier } = await readAuthority(place, NOW)
  expect(earlier).toMatchObject([{ fingerprint: before.fingerprint }])
  for (const { crossPem } of earlier) expect(keystore.bundle.certPem).toContain(crossPem)
  // Clients of the earlier root would fail without a word.
  rmSync(path.join(place.rootFolder, 'cross.crt'))
  await expect(open(place)).rejects.toThrow(/cross\.crt: is missing/)
})

it('notices a replaced root, although no leaf changed', async () => {
  const { home, replica, copyRoot } = await setScene()
  const keystore = await open(replica())
  const { timetable } = createManualClock(NOW)
  const { log } = recordedLog()
  const warnings = createExpiryWarnings({ file: 'leaf.crt', clock: timetable.now, log, hint: 'the fix' })
  const renewal = await keepLeafRenewed({ keystore, names: NAMES, warnings, pollMs: 'off', log, timetable })
  onTestFinished(() => renewal.close())
  const { root } = await renewRoot({ folder: home, names: () => NAMES, now: NOW })
  copyRoot()
  await until(() => renewal.value.current.root.fingerprint === root.fingerprint, {
    deadlineMs: 5_000,
    what: 'a leaf under the new root',
  })
})

it('ignores a renewal of the root that is under way', async () => {
  const { rootFolder, replica } = await setScene()
  for (const name of ['next-root.crt', 'next-root.key']) writeFileSync(path.join(rootFolder, name), 'half')
  const place = replica()
  const before = snapshot(rootFolder)
  const keystore = await open(place)
  await renewLeaf({ ...place, names: () => NAMES, now: NOW })
  expect(await keystore.renewIfDue(NAMES, NOW)).toBeDefined()
  expect(snapshot(rootFolder)).toEqual(before)
})
