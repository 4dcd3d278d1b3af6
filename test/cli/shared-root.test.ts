// Tests that commands use the root that several sidecars share.

import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'

import { openKeystore } from '../../src/certificates/state-folder/keystore.ts'
import { renewCert, showCert } from '../../src/cli/cert/cert.ts'
import { checkCertificate } from '../../src/cli/check/check-certificate.ts'
import { readTrusted } from '../../src/cli/trust/trusted-root.ts'
import { parseConfig } from '../../src/settings/config.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

async function setScene() {
  const parent = tempFolder()
  const [home, rootDir, stateDir] = ['home', 'root', 'state'].map((name) => path.join(parent, name))
  if (home === undefined || rootDir === undefined || stateDir === undefined) throw new Error('no folder')
  const names = [{ type: 'dns', value: 'proxy' }] as const
  await openKeystore({ folder: home, names, now: new Date() })
  mkdirSync(rootDir)
  for (const name of ['root.crt', 'root.key']) renameSync(path.join(home, name), path.join(rootDir, name))
  const keystore = await openKeystore({ folder: stateDir, rootFolder: rootDir, names, now: new Date() })
  const config = parseConfig({ env: { SIDECAR_STATE_DIR: stateDir, SIDECAR_ROOT_DIR: rootDir } })
  const stdout = new PassThrough()
  const world = {
    env: {},
    stdin: new PassThrough(),
    stdout,
    stderr: new PassThrough(),
    onSignal: () => () => undefined,
  }
  const printed = (): string => ((stdout.read() as Buffer | null) ?? '').toString()
  return { config, rootDir, stateDir, root: keystore.root, world, printed }
}

it('`cert show` shows the leaf of this replica and the shared root', async () => {
  const { config, rootDir, stateDir, root, world, printed } = await setScene()
  expect(await showCert({ config, json: false }, world)).toBe(0)
  const text = printed()
  expect(text).toContain(path.join(stateDir, 'leaf.crt'))
  expect(text).toContain(path.join(rootDir, 'root.crt'))
  expect(text).toContain(root.fingerprint)
})

it('`cert renew` renews the leaf, and refuses to renew the root', async () => {
  const { config, rootDir, root, world, printed } = await setScene()
  const before = readdirSync(rootDir)
  expect(await renewCert({ config, json: false, root: false }, world)).toBe(0)
  expect(printed()).toContain(root.fingerprint)
  await expect(renewCert({ config, json: false, root: true }, world)).rejects.toThrow(
    /root\.crt: is shared by replicas \(SIDECAR_ROOT_DIR\) and is not renewed here/,
  )
  expect(printed()).toBe('')
  expect(readdirSync(rootDir)).toEqual(before)
})

it('`trust` and `check` name the shared root, and report that it is missing', async () => {
  const { config, rootDir, root } = await setScene()
  const file = path.join(rootDir, 'root.crt')
  expect(await readTrusted(config)).toMatchObject({ kind: 'root', root, file })
  const text = expect.stringContaining(`root ${file}, ${root.fingerprint}`) as string
  expect(await checkCertificate(config)).toMatchObject([{ level: 'ok', text }])
  rmSync(file)
  const problem = `${file}: is missing: put root.crt and root.key there`
  await expect(readTrusted(config)).rejects.toThrow(problem)
  expect(await checkCertificate(config)).toMatchObject([
    { level: 'problem', text: expect.stringContaining(problem) as string },
  ])
})
