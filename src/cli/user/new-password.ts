// Asks for or generates a new password, and hashes it.

import { randomBytes } from 'node:crypto'

import { hasControlCharacter } from '../../users/control-characters.ts'
import { hashPassword, isTooLong } from '../../auth/bcrypt.ts'
import { isMachinePassword } from '../../users/machine-passwords/machine-secret.ts'
import { CommandError } from '../../errors/errors.ts'
import { askPassword } from './ask-password.ts'
import type { World } from '../../app/world.ts'

// 24 characters out of 62 are 142 bits.
const GENERATED_LENGTH = 24
const BASE62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export async function askNewPassword(world: World, username: string): Promise<string> {
  const password = await askPassword(world, [`New password for ${username}`, 'The same again'])
  const problem = passwordProblem(password)
  if (problem !== undefined) throw new CommandError(`${problem}; nothing was changed`)
  return password
}

export function passwordProblem(password: string): string | undefined {
  if (password === '') return 'the password is empty'
  if (hasControlCharacter(password)) return 'the password holds a control character'
  if (isMachinePassword(password))
    return 'the password has the form of a machine password, which only `user token add` creates'
  return isTooLong(password) ? 'the password is longer than 72 bytes, and bcrypt ignores the rest' : undefined
}

/** The prefix is Apache's `$2y$`, because some builds of its htpasswd do not support `$2b$`. */
export function createHash(password: string, cost: number): string {
  return hashPassword(password, cost).replace(/^\$2b\$/, '$2y$$')
}

export function generatePassword(): string {
  let password = ''
  while (password.length < GENERATED_LENGTH) {
    // Bytes from 248 would make the first letters more frequent, because 256 is not a multiple of 62.
    const uniform = randomBytes(GENERATED_LENGTH).filter((byte) => byte < BASE62.length * 4)
    password += Array.from(uniform, (byte) => BASE62.charAt(byte % BASE62.length)).join('')
  }
  return password.slice(0, GENERATED_LENGTH)
}
