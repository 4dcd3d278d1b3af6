// Tests the htpasswd program on a users file with machine passwords.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { hashSync } from 'bcryptjs'
import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../../../src/users/htpasswd.ts'
import { findProgram } from '../../fixtures/find-program.ts'
import { machinePasswordFor } from '../../fixtures/machine-password.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const htpasswd = findProgram('htpasswd')

describe.skipIf(htpasswd === undefined)('the htpasswd program of Apache', () => {
  const run = (...args: readonly string[]) => spawnSync(htpasswd ?? '', args).status
  const [ci, bob] = [`ci:${hashSync('first', 4)}\n`, `bob:${hashSync('second', 4)}\n`]
  const ofCi = machinePasswordFor(ci, { allow: ['pull'] })
  const ofBob = machinePasswordFor(bob, { allow: ['pull'] })

  function usersFile(): string {
    const file = path.join(tempFolder(), 'htpasswd')
    writeFileSync(file, ci + ofCi.line + bob + ofBob.line)
    return file
  }
  const idsIn = (file: string) =>
    Array.from(parseHtpasswd(readFileSync(file), file).machinePasswords.values(), ({ id }) => id)

  it('reads the lines as comments, and keeps them when it adds a user', () => {
    const file = usersFile()
    expect(run('-vb', file, 'ci', 'first')).toBe(0)
    expect(run('-vb', file, 'ci', ofCi.secret)).toBe(3)
    expect(run('-bB', file, 'carol', 'x')).toBe(0)
    expect(idsIn(file)).toEqual([ofCi.id, ofBob.id])
  })

  it.each([
    ['changes', ['-bB']],
    ['removes', ['-D']],
  ])('ends those of a user whom it %s, and no others', (_what, [flag = '']) => {
    const file = usersFile()
    expect(run(flag, file, 'ci', ...(flag === '-D' ? [] : ['third']))).toBe(0)
    expect(idsIn(file)).toEqual([ofBob.id])
  })
})
