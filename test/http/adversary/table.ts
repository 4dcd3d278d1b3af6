// Joins all cases of the adversary into one table.
//
// Each case has its own name, which identifies its requests in the upstream's record.

import { NAME, type AdversaryCase } from './cases.ts'
import { CHUNKS } from './chunks.ts'
import { CREDENTIALS } from './credentials.ts'
import { FRAMING } from './framing.ts'
import { HEADS } from './heads.ts'
import { HOSTS } from './hosts.ts'
import { IDENTITY } from './identity.ts'
import { TARGETS } from './targets.ts'
import { VERSIONS } from './versions.ts'

export interface NamedCase extends AdversaryCase {
  readonly name: string
}

export const TABLE: readonly NamedCase[] = [
  ...TARGETS,
  ...HEADS,
  ...FRAMING,
  ...CHUNKS,
  ...HOSTS,
  ...VERSIONS,
  ...IDENTITY,
  ...CREDENTIALS,
].map((entry, i) => {
  const name = `c${String(i).padStart(NAME.length - 1, '0')}`
  return { ...entry, name, bytes: entry.bytes.replaceAll(NAME, name) }
})
