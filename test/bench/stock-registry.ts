// Writes the blobs of a benchmark and pushes them to the registry.

import { push } from './curl.ts'
import { writeBlob, type Environment } from './environment.ts'
import type { Blobs } from './measure.ts'
import type { Endpoint } from './subject.ts'

const MIB = 1024 * 1024
/** 64 concurrent pulls move twice the size of the large blob, and 2 GiB at most. */
const MEDIUM_SHARE = 32
const MEDIUM_MAX_MIB = 32
const SMALL_BYTES = 64 * 1024

export async function stockRegistry(
  environment: Environment,
  registry: Endpoint,
  { sizeMib }: { readonly sizeMib: number },
): Promise<Blobs> {
  const mediumMib = Math.min(MEDIUM_MAX_MIB, Math.ceil(sizeMib / MEDIUM_SHARE))
  const blobs = {
    large: writeBlob(environment, sizeMib * MIB),
    medium: writeBlob(environment, mediumMib * MIB),
    small: writeBlob(environment, SMALL_BYTES),
  }
  for (const blob of Object.values(blobs)) await push(environment, registry, { repository: 'bench', blob })
  return blobs
}
