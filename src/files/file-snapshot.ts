// Takes snapshots of a file, to notice changes without reading it.

import { stat } from 'node:fs/promises'
import { errorCode } from '../errors/errors.ts'

// Some file systems count whole seconds, so a recent file may change again with the same time stamps.
const RACY_MS = 2000

export interface Snapshot {
  readonly signature: string
  /** False for a file that changed so recently that the next change may not show in its time stamps. */
  readonly isConclusive: boolean
}

export async function takeSnapshot(file: string): Promise<Snapshot> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    // ctime, because nobody can set it by hand. A file with an mtime in the future would never be conclusive.
    const age = Date.now() - Number(ctimeNs / 1_000_000n)
    return { signature: [dev, ino, size, mtimeNs, ctimeNs].join(':'), isConclusive: Math.abs(age) > RACY_MS }
  } catch (error) {
    return { signature: errorCode(error) ?? 'unknown', isConclusive: true }
  }
}

export function isUnchanged(earlier: Snapshot | undefined, later: Snapshot): boolean {
  return earlier !== undefined && earlier.isConclusive && earlier.signature === later.signature
}
