// Reads certificates from the state folder, without keys, locks or writes.

import { InvalidFileError } from '../../errors/errors.ts'
import { readUntilWhole } from '../../files/read-again.ts'
import { isEmptyState, missingRootError } from './authority.ts'
import { parseLeaf, parseRoot, type LeafFacts, type Root } from '../../pki/certificate.ts'
import { parseEarlier, type Authority } from '../../pki/cross-certificates.ts'
import { certificatesIn } from '../../pki/pem.ts'
import {
  LOOKS_OF_A_READER,
  isRootShared,
  pathsIn,
  readFiles,
  unlessInvalid,
  type StatePaths,
  type StatePlace,
  type StateTexts,
} from './state-files.ts'

const NO_ROOT_YET = 'does not exist yet; start the sidecar once: it issues its root at the first start'
const NO_LEAF = 'is missing; start the sidecar, or run `registry-sidecar cert renew`: both issue one'

/** Throws `InvalidFileError`, also if there is no root. */
export async function readRoot(place: StatePlace): Promise<Root> {
  return readConsistently(pathsIn(place), rootIn)
}

/** Leaves out earlier roots that have expired at `now`. */
export async function readAuthority(place: StatePlace, now: Date): Promise<Authority> {
  return readConsistently(pathsIn(place), (texts, paths) => {
    const root = rootIn(texts, paths)
    return { root, earlier: parseEarlier(texts.crossCert, { root, file: paths.crossCert, now }) }
  })
}

export interface StoredLeaf {
  readonly file: string
  readonly leaf: LeafFacts
}

/** Accepts an expired leaf. Throws `InvalidFileError`. */
export async function readLeaf(place: Pick<StatePlace, 'folder'>): Promise<StoredLeaf> {
  const { leafCert: file } = pathsIn(place)
  const { leafCert } = await readFiles({ leafCert: file })
  if (leafCert === undefined) throw new InvalidFileError(file, NO_LEAF)
  return { file, leaf: parseLeaf(leafCert, file) }
}

type Parse<T> = (texts: StateTexts & { readonly rootCert: string }, paths: StatePaths) => T

async function readConsistently<T>(paths: StatePaths, parse: Parse<T>): Promise<T> {
  const parseAll = (texts: StateTexts): T => {
    const { rootCert } = texts
    if (isEmptyState(texts) && !isRootShared(paths)) throw new InvalidFileError(paths.rootCert, NO_ROOT_YET)
    if (rootCert === undefined) throw missingRootError(paths.rootCert, texts, paths)
    return parse({ ...texts, rootCert }, paths)
  }
  // A renewal of the root replaces the files one after the other, but never removes root.crt.
  const isWhole = (texts: StateTexts) =>
    texts.rootCert === undefined || unlessInvalid(() => parseAll(texts)) !== undefined
  return parseAll(await readUntilWhole(() => readPublic(paths), { isWhole, ...LOOKS_OF_A_READER }))
}

// Reads no keys, because users without access to the keys may ask which root to trust.
function readPublic({
  rootCert,
  marker,
  leafCert,
  crossCert,
  nextRootCert,
}: StatePaths): Promise<StateTexts> {
  return readFiles({ rootCert, marker, leafCert, crossCert, nextRootCert })
}

const rootIn: Parse<Root> = ({ rootCert, marker, nextRootCert }, paths) => {
  // If true, a renewal of the root stopped before it wrote the marker. The next start writes the marker.
  const isNext = certificatesIn(nextRootCert ?? '')[0]?.trim() === rootCert.trim()
  return parseRoot({ certPem: rootCert, marker: isNext ? undefined : marker }, paths)
}
