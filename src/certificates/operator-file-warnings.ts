// Warns at start about risky certificate files of the operator.

import { stat } from 'node:fs/promises'
import { platform } from 'node:os'
import type { Log } from '../observability/log.ts'
import type { OperatorFiles } from './operator-files.ts'
import { isMountPoint } from '../files/mount-point.ts'

export async function warnOfOperatorFiles(
  { certFile, keyFile, keyPasswordFile }: OperatorFiles,
  log: Log,
): Promise<void> {
  const secrets = [keyFile, ...(keyPasswordFile === undefined ? [] : [keyPasswordFile])]
  for (const file of [certFile, ...secrets]) await warnOfMount(file, log)
  for (const file of secrets) await warnIfReadableForAll(file, log)
}

export async function warnOfMount(file: string, log: Log, subject = 'this file'): Promise<void> {
  if (!(await isMountPoint(file))) return
  const hint = 'mount its folder, because a renewal replaces the file'
  log.warn(
    { event: 'file-is-bind-mounted', file, hint },
    `${subject} is a bind-mounted file: replacing it on the host has no effect here`,
  )
}

// Does not change the mode, because the file belongs to the operator. A group may read it.
async function warnIfReadableForAll(file: string, log: Log): Promise<void> {
  if (platform() === 'win32') return
  const mode = await stat(file).then(
    (stats) => stats.mode & 0o777,
    () => 0,
  )
  if ((mode & 0o007) === 0) return
  const hint = `run chmod o= ${file}; for a Kubernetes secret, set defaultMode: 0440 and fsGroup`
  log.warn(
    { event: 'file-readable-by-all', file, mode: mode.toString(8).padStart(4, '0'), hint },
    'every user of this machine can read this file',
  )
}
