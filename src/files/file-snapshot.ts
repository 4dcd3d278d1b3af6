import { stat } from 'node:fs/promises'
import { errorCode } from '../errors/errors.ts'

// Some file systems count whole seconds, so a file changed so recently may change again without its time stamps
// telling. git calls such entries racily clean.
const RACY_MS = 2000

/** What a file looks like from outside: enough to see a change without reading the content. */
export interface Snapshot {
  readonly signature: string
  /** False for a file that changed too recently for its time stamps to tell the next change. */
  readonly isConclusive: boolean
}

/** The snapshot of what `file` leads to, through symlinks; a file that cannot be looked at has one too. */
export async function takeSnapshot(file: string): Promise<Snapshot> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    // Of the two times the one nobody can set by hand: a file dated to the future would never be conclusive.
    const age = Date.now() - Number(ctimeNs / 1_000_000n)
    return { signature: [dev, ino, size, mtimeNs, ctimeNs].join(':'), isConclusive: Math.abs(age) > RACY_MS }
  } catch (error) {
    return { signature: errorCode(error) ?? 'unknown', isConclusive: true }
  }
}

/** Whether nothing can have changed between the two. */
export function isUnchanged(earlier: Snapshot | undefined, later: Snapshot): boolean {
  return earlier !== undefined && earlier.isConclusive && earlier.signature === later.signature
}
