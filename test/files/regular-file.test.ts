import { randomBytes } from 'node:crypto'
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readRegular } from '../../src/files/regular-file.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const MIB = 1024 * 1024

describe('a file', () => {
  it('is read whole, up to 64 MiB', async () => {
    const file = path.join(tempFolder(), 'file')
    const bytes = randomBytes(3 * MIB + 1)
    writeFileSync(file, bytes)
    expect((await readRegular(file)).equals(bytes)).toBe(true)
    truncateSync(file, 64 * MIB)
    expect(await readRegular(file)).toHaveLength(64 * MIB)
    truncateSync(file, 64 * MIB + 1)
    await expect(readRegular(file)).rejects.toThrow(/is larger than 64 MiB/)
  })

  // 256 GiB on many machines, but it claims to be an empty regular file.
  it.runIf(process.platform === 'linux')('is not read further when it has no end', async () => {
    const file = path.join(tempFolder(), 'file')
    symlinkSync('/proc/self/pagemap', file)
    await expect(readRegular(file)).rejects.toThrow(`${file}: is larger than 64 MiB`)
  })
})
