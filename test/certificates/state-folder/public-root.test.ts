import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

import { openKeystore, renewRoot } from '../../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import {
  createPublicRoot,
  isPublished,
  publicRootFile,
} from '../../../src/certificates/state-folder/public-root.ts'
import { recordedLog } from '../../fixtures/recorded-log.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = new Date()
const NAMES: readonly SubjectAltName[] = [{ type: 'dns', value: 'proxy' }]

async function stateFolder() {
  const folder = path.join(tempFolder(), 'state')
  const { root } = await openKeystore({ folder, names: NAMES, now: NOW })
  const { log, lines } = recordedLog()
  return { folder, root, file: publicRootFile(folder), publicRoot: createPublicRoot({ folder }, log), lines }
}

it('contains only the root, and every user can read it, despite the umask', async () => {
  const umask = process.umask(0o077)
  onTestFinished(() => void process.umask(umask))
  const { folder, root, file, publicRoot } = await stateFolder()

  await publicRoot.publish(root.pem)

  expect(file).toBe(path.join(folder, 'trust', 'ca.crt'))
  expect(readFileSync(file, 'utf8')).toBe(root.pem)
  expect(readdirSync(path.dirname(file))).toEqual(['ca.crt'])
  expect([file, path.dirname(file)].map((one) => statSync(one).mode & 0o777)).toEqual([0o644, 0o755])
})

it.each<[what: string, damage: (file: string) => void]>([
  [
    'the file is missing',
    (file) => {
      rmSync(file)
    },
  ],
  [
    'the folder is missing',
    (file) => {
      rmSync(path.dirname(file), { recursive: true })
    },
  ],
  [
    'it contains something else',
    (file) => {
      writeFileSync(file, 'something else')
    },
  ],
])('is written again when %s', async (_what, damage) => {
  const { folder, root, file, publicRoot } = await stateFolder()
  await publicRoot.publish(root.pem)
  damage(file)
  expect(await isPublished(folder, root.pem)).toBe(false)

  await publicRoot.publish(root.pem)

  expect(await isPublished(folder, root.pem)).toBe(true)
})

it('is not written when it is current', async () => {
  const { root, file, publicRoot } = await stateFolder()
  await publicRoot.publish(root.pem)
  const before = statSync(file, { bigint: true })

  await publicRoot.publish(root.pem)

  expect(statSync(file, { bigint: true })).toMatchObject({ ino: before.ino, mtimeNs: before.mtimeNs })
})

it('never returns to a root that another process has just replaced', async () => {
  const { folder, root, publicRoot } = await stateFolder()
  const renewed = await renewRoot({ folder, names: () => NAMES, now: NOW })

  await publicRoot.publish(root.pem)

  expect(await isPublished(folder, renewed.root.pem)).toBe(true)
})

it('causes one log line and no failure when it is not writable', async () => {
  const { folder, root, file, publicRoot, lines } = await stateFolder()
  writeFileSync(path.join(folder, 'trust'), 'a file in the way')

  await publicRoot.publish(root.pem)
  await publicRoot.publish(root.pem)

  expect(lines).toMatchObject([{ level: 40, file, reason: expect.stringContaining('trust') as string }])
  rmSync(path.join(folder, 'trust'))
  mkdirSync(path.join(folder, 'trust'))
  await publicRoot.publish(root.pem)
  expect(await isPublished(folder, root.pem)).toBe(true)
})
