import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { fingerprintServed, moveInto } from '../fixtures/own-certificate.ts'
import { issueRootForTest, rootFolderForTest } from '../fixtures/root-folder.ts'
import { ALICE, sidecarForTest } from '../fixtures/sidecar.ts'
import { tokenOf } from '../fixtures/token-client.ts'
import { until } from '../fixtures/until.ts'

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
  const next = await issueRootForTest()
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
