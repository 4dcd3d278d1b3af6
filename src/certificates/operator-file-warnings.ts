// What is told at start about the files of one's own certificate: what works now, and will do harm some day.

import { stat } from 'node:fs/promises'
import { platform } from 'node:os'
import type { Log } from '../observability/log.ts'
import type { OwnFiles } from './operator-files.ts'
import { isMountPoint } from '../files/mount-point.ts'

/** Warns of files that stay the same when they are replaced, and of a key or password that everybody can read. */
export async function warnOfOwnFiles(
  { certFile, keyFile, keyPasswordFile }: OwnFiles,
  log: Log,
): Promise<void> {
  const secrets = [keyFile, ...(keyPasswordFile === undefined ? [] : [keyPasswordFile])]
  for (const file of [certFile, ...secrets]) await warnOfMount(file, log)
  for (const file of secrets) await warnIfOpen(file, log)
}

/** Warns of a file that stays the same here when it is replaced outside. `subject` is what the line calls it. */
export async function warnOfMount(file: string, log: Log, subject = 'this file'): Promise<void> {
  if (!(await isMountPoint(file))) return
  const hint = 'mount its folder: what renews certificates replaces files'
  log.warn(
    { file, hint },
    `${subject} is a mount of its own: when it is replaced outside, the former one stays here`,
  )
}

// Not changed, as in our own folder: this file is not ours. Groups pass, for that is how such keys are shared.
async function warnIfOpen(file: string, log: Log): Promise<void> {
  if (platform() === 'win32') return
  const mode = await stat(file).then(
    (stats) => stats.mode & 0o777,
    () => 0,
  )
  if ((mode & 0o007) === 0) return
  const hint = `chmod o= ${file}; for a secret of Kubernetes: defaultMode: 0440 and fsGroup`
  log.warn(
    { file, mode: mode.toString(8).padStart(4, '0'), hint },
    'everybody on this machine can read this file',
  )
}
