import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { OperatorFiles } from '../../src/certificates/operator-files.ts'
import { loadOperatorCertificate } from '../../src/certificates/operator-certificate.ts'
import { bindMount, mayMount } from '../fixtures/mount.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const authority = createAuthority()
const canMount = mayMount()

function ownFiles(folder = tempFolder()): OperatorFiles {
  const { certPem, keyPem } = authority.issue()
  const files = { certFile: path.join(folder, 'tls.crt'), keyFile: path.join(folder, 'tls.key') }
  writeFileSync(files.certFile, certPem)
  writeFileSync(files.keyFile, keyPem, { mode: 0o640 })
  return { ...files, keyPasswordFile: undefined }
}

async function warningsAtStart(files: OperatorFiles): Promise<readonly unknown[]> {
  const { log, lines } = recordedLog('warn')
  await (await loadOperatorCertificate({ files, pollMs: 'off', log })).close()
  return lines
}

describe('a key that every user can read', () => {
  it('is logged at start, with its mode and the fix, also through a symlink; group access is not logged', async () => {
    const files = ownFiles()
    expect(await warningsAtStart(files)).toEqual([])
    chmodSync(files.keyFile, 0o644)
    const link = path.join(tempFolder(), 'link.key')
    symlinkSync(files.keyFile, link)
    expect(await warningsAtStart({ ...files, keyFile: link })).toEqual([
      expect.objectContaining({
        file: link,
        mode: '0644',
        hint: expect.stringContaining(`chmod o= ${link}`) as unknown,
        msg: 'every user of this machine can read this file',
      }),
    ])
  })

  it('is logged for the password of a key too', async () => {
    const files = ownFiles()
    const keyPasswordFile = path.join(tempFolder(), 'password')
    writeFileSync(keyPasswordFile, 'not needed\n', { mode: 0o644 })
    expect(await warningsAtStart({ ...files, keyPasswordFile })).toMatchObject([{ file: keyPasswordFile }])
  })
})

describe('a bind-mounted file', () => {
  it.runIf(canMount)('is logged at start, with the fix, for each file', async () => {
    const outside = ownFiles()
    const inside = ownFiles()
    bindMount(outside.certFile, inside.certFile)
    bindMount(outside.keyFile, inside.keyFile)
    expect(await warningsAtStart(inside)).toEqual(
      [inside.certFile, inside.keyFile].map(
        (file) =>
          expect.objectContaining({
            file,
            msg: expect.stringMatching(
              /bind-mounted file.*replacing it on the host has no effect here/,
            ) as unknown,
            hint: expect.stringMatching(/^mount its folder/) as unknown,
          }) as unknown,
      ),
    )
  })

  it.runIf(canMount)('is not logged when its folder is the mount', async () => {
    const folder = path.join(tempFolder(), 'inside')
    mkdirSync(folder)
    bindMount(path.dirname(ownFiles().certFile), folder)
    const files = { certFile: path.join(folder, 'tls.crt'), keyFile: path.join(folder, 'tls.key') }
    expect(await warningsAtStart({ ...files, keyPasswordFile: undefined })).toEqual([])
  })
})
