import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadUsers } from '../../src/users/users.ts'
import { bindMount, mayMount } from '../fixtures/mount.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

describe('a bind-mounted users file', () => {
  const canMount = mayMount()

  it.runIf(canMount)(
    'is logged at start, with the fix, and a replacement on the host has no effect',
    async () => {
      const folder = tempFolder()
      mkdirSync(`${folder}/host`)
      mkdirSync(`${folder}/users`)
      writeFileSync(`${folder}/host/htpasswd`, ALICE_ENTRY)
      writeFileSync(`${folder}/users/htpasswd`, '')
      bindMount(`${folder}/host/htpasswd`, `${folder}/users/htpasswd`)

      expect(await warningsAtStart(`${folder}/users/htpasswd`)).toEqual([
        expect.objectContaining({
          msg: expect.stringMatching(
            /bind-mounted file.*replacing it on the host has no effect here/,
          ) as unknown,
          hint: expect.stringMatching(/-v \.\/users:\/users.*no subPath/) as unknown,
        }),
      ])
      writeFileSync(`${folder}/host/new`, ALICE_ENTRY.replace('alice', 'bob'))
      renameSync(`${folder}/host/new`, `${folder}/host/htpasswd`)
      expect(await namesAt(`${folder}/users/htpasswd`)).toEqual(['alice'])
    },
  )

  it.runIf(canMount)(
    'is not logged when its folder is mounted, and a replacement on the host has its effect',
    async () => {
      const folder = tempFolder()
      mkdirSync(`${folder}/host`)
      mkdirSync(`${folder}/users`)
      writeFileSync(`${folder}/host/htpasswd`, ALICE_ENTRY)
      bindMount(`${folder}/host`, `${folder}/users`)

      expect(await warningsAtStart(`${folder}/users/htpasswd`)).toEqual([])
      writeFileSync(`${folder}/host/new`, ALICE_ENTRY.replace('alice', 'bob'))
      renameSync(`${folder}/host/new`, `${folder}/host/htpasswd`)
      expect(await namesAt(`${folder}/users/htpasswd`)).toEqual(['bob'])
    },
  )
})

async function warningsAtStart(file: string): Promise<readonly unknown[]> {
  const { log, lines } = recordedLog('warn')
  const users = await loadUsers({ file, pollMs: 'off', log })
  await users.close()
  return lines
}

async function namesAt(file: string): Promise<readonly string[]> {
  const { log } = recordedLog('error')
  const users = await loadUsers({ file, pollMs: 'off', log })
  await users.close()
  return [...users.table.entries.keys()]
}
