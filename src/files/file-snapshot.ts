// Takes snapshots of file metadata, to notice changes without reading the file.

import { stat } from 'node:fs/promises'
import { errorCode } from '../errors/errors.ts'

// Some file systems count whole seconds, so a recently changed file may change again within the same time stamp.
const RECENT_MS = 2000

export interface Snapshot {
  readonly signature: string
  /** False after a recent change, because the next change may leave the time stamps as they are. */
  readonly isConclusive: boolean
}

export async function takeSnapshot(file: string): Promise<Snapshot> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    // Uses ctime, because programs can set an mtime but not a ctime.
    const age = Date.now() - Number(ctimeNs / 1_000_000n)
    return {
      signature: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
      isConclusive: Math.abs(age) > RECENT_MS,
    }
  } catch (error) {
    return { signature: errorCode(error) ?? 'unknown', isConclusive: true }
  }
}

export function isUnchanged(earlier: Snapshot | undefined, later: Snapshot): boolean {
  return earlier !== undefined && earlier.isConclusive && earlier.signature === later.signature
}
