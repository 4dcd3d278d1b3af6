// Creates machine passwords, recognizes them and computes their digests.
//
// The form alone decides whether a password is compared with machine passwords or with bcrypt hashes. If a wrong machine
// password fell through to bcrypt, each guess would cost a bcrypt check. So `user add` refuses a password of this form.

import { createHash, randomBytes } from 'node:crypto'

const PREFIX = 'rst_'
const SECRET_BYTES = 32
// 32 bytes are 43 characters of base64url.
const FORM = /^rst_[\w-]{43}$/

/** A new machine password of 256 random bits. */
export function createMachinePassword(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
}

/** Whether the text has the form of a machine password. */
export function isMachinePassword(text: string): boolean {
  return FORM.test(text)
}

// One SHA-256 is enough: nobody can try 2^256 secrets, however fast each try is.
/** The digest that the users file stores: SHA-256 in 64 hexadecimal digits. */
export function machinePasswordDigest(password: string): string {
  return createHash('sha256').update(password).digest('hex')
}

/** A new short name for a machine password, for lists and logs. */
export function createMachinePasswordId(): string {
  return randomBytes(4).toString('hex')
}

export function isMachinePasswordId(text: string): boolean {
  return /^[0-9a-f]{8}$/.test(text)
}
