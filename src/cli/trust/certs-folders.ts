// Where clients on this machine look for roots: certs.d folders, one per kind of client, in each one folder per
// registry key.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError } from '../../errors/errors.ts'
import type { World } from '../../app/world.ts'
import type { Machine } from '../this-machine.ts'

export interface Whose {
  readonly machine: Machine
  readonly env: World['env']
}

/**
 * The folders that `--install` fills: those of the system for root, those of one person for anybody else, and dockerd's
 * where there is one, whoever asks. Rejects with a CommandError that names the fix where there are none, or where they
 * would end up belonging to somebody else.
 */
export async function foldersToFill({ machine, env }: Whose): Promise<readonly string[]> {
  const { platform, isRoot, etc } = machine
  if (platform === 'win32') {
    throw new CommandError(
      'Windows has no certs.d folders, because no path may hold a colon; ' +
        'leave out --install and --uninstall and run the commands printed under "windows"',
    )
  }
  const [dockerd, podman] = [join(etc, 'docker/certs.d'), join(etc, 'containers/certs.d')]
  if (platform === 'darwin') {
    // sudo leaves HOME as it is there, so that the folders of a person would become root's.
    if (isRoot && (env['SUDO_USER'] ?? '') !== '') {
      throw new CommandError(
        'Docker Desktop reads the folder of the person who runs it: run this without sudo',
      )
    }
    return personal({ machine, env })
  }
  if (isRoot) return [dockerd, podman]
  const hasDockerd = await isThere(join(etc, 'docker'))
  return [...personal({ machine, env }), ...(hasDockerd ? [dockerd] : [])]
}

/** Every folder in which a client on this machine may look. */
export function foldersThatClientsRead({ machine, env }: Whose): readonly string[] {
  const { platform, etc } = machine
  if (platform === 'win32') return []
  if (platform === 'darwin') return personal({ machine, env })
  return [join(etc, 'docker/certs.d'), join(etc, 'containers/certs.d'), ...personal({ machine, env })]
}

// A dockerd without root follows the XDG Base Directory Specification, podman knows only ~/.config.
function personal({ machine: { platform, home }, env }: Whose): readonly string[] {
  if (platform === 'darwin') return [join(home, '.docker/certs.d')]
  const configHome = env['XDG_CONFIG_HOME'] ?? ''
  return [
    join(home, '.config/containers/certs.d'),
    join(configHome === '' ? join(home, '.config') : configHome, 'docker/certs.d'),
  ]
}

function isThere(folder: string): Promise<boolean> {
  return stat(folder).then(
    () => true,
    () => false,
  )
}
