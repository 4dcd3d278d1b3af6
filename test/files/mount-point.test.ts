import { symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isMountPoint, mountPointsIn } from '../../src/files/mount-point.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

// The line for `docker run -v /host/htpasswd:/users/htpasswd`.
const MOUNTINFO = `\
22 28 0:20 / /proc rw,nosuid - proc proc rw
591 581 254:1 /srv/htpasswd /users/htpasswd rw,relatime - ext4 /dev/vda1 rw
592 581 254:1 /srv/other /a\\040folder/with\\134and\\012in\\011it rw - ext4 /dev/vda1 rw
593 581 254:1 /srv/gone//deleted /users/gone rw,relatime master:3 - ext4 /dev/vda1 rw
`

describe('mountPointsIn', () => {
  it('returns the fifth field of each line, with blanks and similar characters decoded', () => {
    expect([...mountPointsIn(MOUNTINFO)]).toEqual([
      '/proc',
      '/users/htpasswd',
      '/a folder/with\\and\nin\tit',
      '/users/gone',
    ])
  })
})

describe('isMountPoint', () => {
  const fileIn = (folder: string, mountedAs: (file: string) => string) => {
    const [file, table] = [`${folder}/htpasswd`, `${folder}/mountinfo`]
    writeFileSync(file, '')
    writeFileSync(table, `591 581 254:1 /srv/htpasswd ${mountedAs(file)} rw - ext4 /dev/vda1 rw\n`)
    return { file, table }
  }

  it('is true for a file that is mounted, also through a symlink', async () => {
    const folder = tempFolder()
    const { file, table } = fileIn(folder, (mounted) => mounted)
    symlinkSync('htpasswd', `${folder}/link`)

    expect(await isMountPoint(file, table)).toBe(true)
    expect(await isMountPoint(`${folder}/link`, table)).toBe(true)
  })

  it.each([
    ['a file whose folder is mounted', (file: string) => file.replace('/htpasswd', '')],
    ['a file whose name only begins like a mount point', (file: string) => `${file}.old`],
  ])('is false for %s', async (_, mountedAs) => {
    const { file, table } = fileIn(tempFolder(), mountedAs)

    expect(await isMountPoint(file, table)).toBe(false)
  })

  it('is false for a missing file', async () => {
    expect(await isMountPoint(`${tempFolder()}/missing`)).toBe(false)
  })

  it('compares devices where there is no mount table', async () => {
    const folder = tempFolder()
    writeFileSync(`${folder}/htpasswd`, '')

    expect(await isMountPoint(`${folder}/htpasswd`, `${folder}/no-table`)).toBe(false)
    expect(await isMountPoint('/proc', `${folder}/no-table`)).toBe(true)
  })
})
