// Publishes the root in a folder that contains nothing else.
//
// skopeo, podman and buildah use each *.key in --cert-dir as a client key, and stop if its *.cert is missing.
// So the state folder, which contains such keys, cannot be their --cert-dir.

import { chmod, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { errorMessage } from '../../errors/errors.ts'
import type { Log } from '../../observability/log.ts'
import { readRegular } from '../../files/regular-file.ts'
import { pathsIn, rethrowWithFix, underLock, write, type StatePlace } from './state-files.ts'
import { readRoot } from './stored-state.ts'

/** Clients trust every *.crt in the folder of this file as a root. */
export function publicRootFile(stateFolder: string): string {
  return join(stateFolder, 'trust', 'ca.crt')
}

export async function isPublished(stateFolder: string, rootPem: string): Promise<boolean> {
  return readRegular(publicRootFile(stateFolder)).then(
    (bytes) => bytes.toString() === rootPem,
    () => false,
  )
}

export interface PublicRoot {
  /** Never rejects: logs a failure, once per reason. */
  publish(rootPem: string): Promise<void>
}

/** The sidecar works without the file, for example if the state folder is read-only. */
export function createPublicRoot(place: StatePlace, log: Log | undefined): PublicRoot {
  const file = publicRootFile(place.folder)
  let logged: string | undefined
  return {
    async publish(rootPem) {
      try {
        if (!(await isPublished(place.folder, rootPem))) await writePublicRoot(place)
        logged = undefined
      } catch (error) {
        const reason = errorMessage(error)
        if (reason !== logged)
          log?.warn(
            { event: 'public-root-not-written', file, reason },
            'the copy of the root for --cert-dir was not written',
          )
        logged = reason
      }
    },
  }
}

async function writePublicRoot(place: StatePlace): Promise<void> {
  const file = publicRootFile(place.folder)
  await underLock(pathsIn(place), async (lock) => {
    // Read under the lock, because another process may have renewed the root.
    const { pem } = await readRoot(place)
    const folder = dirname(file)
    const isNew =
      (await mkdir(folder, { recursive: true }).catch(rethrowWithFix(folder, 'written'))) !== undefined
    // The umask may have reduced the mode. The operator chose the mode of a folder that existed before.
    if (isNew) await chmod(folder, 0o755)
    await write(file, pem, { mode: 0o644, lock })
  })
}
