import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { openKeystore } from '../../src/certificates/state-folder/keystore.ts'
import { fingerprintServed, moveInto, registerKey } from '../fixtures/own-certificate.ts'
import { registerSecret } from '../fixtures/run-logs.ts'
import { ALICE, sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { tokenOf } from '../fixtures/token-client.ts'
import { until } from '../fixtures/until.ts'

/** Issues a root as a sidecar with an empty state folder does. */
async function issueRoot(): Promise<string> {
  const folder = path.join(tempFolder(), 'state')
  await openKeystore({ folder, names: [{ type: 'dns', value: 'proxy' }], now: new Date() })
  for (const name of ['root.key', 'leaf.key']) registerKey(readFileSync(path.join(folder, name), 'utf8'))
  return folder
}

async function rootFolderForTest(): Promise<string> {
  const [home, folder] = [await issueRoot(), path.join(tempFolder(), 'root')]
  mkdirSync(folder)
  for (const name of ['root.crt', 'root.key']) copyFileSync(path.join(home, name), path.join(folder, name))
  const key = randomBytes(32)
  for (const encoding of ['hex', 'base64url'] as const) registerSecret(key.toString(encoding))
  writeFileSync(path.join(folder, 'token.key'), key, { mode: 0o600 })
  return folder
}

function changesIn(folder: string): readonly unknown[] {
  return [folder, ...readdirSync(folder).map((name) => path.join(folder, name))].map((file) => {
    const { mode, mtimeMs } = statSync(file)
    return { file, mode, mtimeMs }
  })
}

it('each has a leaf, one root covers both, and a token of one is valid at the other', async () => {
  const rootFolder = await rootFolderForTest()
  const before = changesIn(rootFolder)
  const env = { SIDECAR_ROOT_DIR: rootFolder }
  const one = await sidecarForTest({ env })
  const other = await sidecarForTest({ env })
  const rootPem = readFileSync(path.join(rootFolder, 'root.crt'), 'utf8')
  const served = await Promise.all([one, other].map(({ port }) => fingerprintServed(port, rootPem)))
  expect(new Set(served).size).toBe(2)
  expect(one.folder).not.toBe(other.folder)

  const headers = { Authorization: `Bearer ${await tokenOf(one, ALICE)}` }
  // No registry runs, so a request with a valid login gets 502.
  for (const replica of [one, other])
    expect((await replica.request({ path: '/v2/', headers })).status).toBe(502)
  const stranger = await sidecarForTest()
  expect((await stranger.request({ path: '/v2/', headers })).status).toBe(401)

  for (const replica of [one, other])
    expect((await replica.request({ path: '/-/ca.crt' })).body.toString()).toBe(rootPem)
  expect(changesIn(rootFolder)).toEqual(before)
})

it('a replaced root is served without a restart', async () => {
  const rootFolder = await rootFolderForTest()
  const sidecar = await sidecarForTest({ env: { SIDECAR_ROOT_DIR: rootFolder } })
  const next = await issueRoot()
  for (const name of ['root.key', 'root.crt'])
    moveInto(path.join(rootFolder, name), readFileSync(path.join(next, name), 'utf8'))
  const rootPem = readFileSync(path.join(next, 'root.crt'), 'utf8')
  const isServed = () =>
    fingerprintServed(sidecar.port, rootPem).then(
      () => true,
      () => false,
    )
  await until(isServed, { deadlineMs: 5_000, what: 'a leaf under the other root' })
  expect(sidecar.certificate.root?.pem).toBe(rootPem)
})

it.each([
  ['root.crt', 'put root.crt and root.key there'],
  ['root.key', 'put root.crt and root.key there'],
  ['token.key', 'head -c 32 /dev/urandom > token.key'],
])('a start without %s is refused', async (name, fix) => {
  const rootFolder = await rootFolderForTest()
  rmSync(path.join(rootFolder, name))
  const start = sidecarForTest({ env: { SIDECAR_ROOT_DIR: rootFolder } })
  await expect(start).rejects.toThrow(`${path.join(rootFolder, name)}: is missing`)
  await expect(start).rejects.toThrow(fix)
  expect(readdirSync(rootFolder)).not.toContain(name)
})
