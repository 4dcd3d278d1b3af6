// Checks the form of repository names, tags and digests.

const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`)
const MAX_NAME_LENGTH = 255
const TAG = /^\w[\w.-]{0,127}$/
const DIGEST = /^[A-Za-z0-9]+(?:[+._-][A-Za-z0-9]+)*:[A-Za-z0-9=_-]{1,255}$/

/** Follows the OCI distribution specification 1.1. Only registry:2 accepts a host (`Host:5000/`). */
export function isRepositoryName(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && NAME.test(text)
}

export function isTag(text: string): boolean {
  return TAG.test(text)
}

/** Accepts any algorithm. A digest is never a tag, because a tag cannot contain a colon. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}
