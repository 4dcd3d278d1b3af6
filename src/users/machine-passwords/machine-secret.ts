// Creates machine passwords, recognizes them and computes their digests.
// The form alone shows the kind, so a wrong one costs no bcrypt check. `user add` refuses a password of this form.

import { createHash, randomBytes } from 'node:crypto'

const PREFIX = 'rst_'
const SECRET_BYTES = 32
const FORM = /^rst_[\w-]{43}$/

export function createMachinePassword(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
}

export function isMachinePassword(text: string): boolean {
  return FORM.test(text)
}

/** One SHA-256 is enough, because nobody can try 2^256 secrets. */
export function machinePasswordDigest(password: string): string {
  return createHash('sha256').update(password).digest('hex')
}

export function createMachinePasswordId(): string {
  return randomBytes(4).toString('hex')
}

export function isMachinePasswordId(text: string): boolean {
  return /^[0-9a-f]{8}$/.test(text)
}
