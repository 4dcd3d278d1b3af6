// Finds the certs.d folders in which clients look for roots.
//
// Each kind of client has one certs.d folder, with a folder per registry key in it.

import { join } from 'node:path'
import { CommandError } from '../../errors/errors.ts'
import { existsFile } from '../../files/regular-file.ts'
import type { World } from '../../app/world.ts'
import type { Machine } from '../this-machine.ts'

export interface HostEnvironment {
  readonly machine: Machine
  readonly env: World['env']
}

/** Rejects with a CommandError if there are no such folders, or if they would belong to the wrong user. */
export async function foldersToWrite({ machine, env }: HostEnvironment): Promise<readonly string[]> {
  const { platform, isRoot, etc } = machine
  if (platform === 'win32') {
    throw new CommandError(
      'Windows has no certs.d folders, because no path may hold a colon; ' +
        'leave out --install and --uninstall and run the commands printed under "windows"',
    )
  }
  const [dockerd, podman] = [join(etc, 'docker/certs.d'), join(etc, 'containers/certs.d')]
  if (platform === 'darwin') {
    // sudo keeps HOME on macOS, so the user's folders would belong to root.
    if (isRoot && (env['SUDO_USER'] ?? '') !== '') {
      throw new CommandError(
        'Docker Desktop reads the folder of the user who runs it: run this command without sudo',
      )
    }
    return userFolders({ machine, env })
  }
  if (isRoot) return [dockerd, podman]
  const hasDockerd = await existsFile(join(etc, 'docker'))
  return [...userFolders({ machine, env }), ...(hasDockerd ? [dockerd] : [])]
}

export function foldersThatClientsRead({ machine, env }: HostEnvironment): readonly string[] {
  const { platform, etc } = machine
  if (platform === 'win32') return []
  if (platform === 'darwin') return userFolders({ machine, env })
  return [join(etc, 'docker/certs.d'), join(etc, 'containers/certs.d'), ...userFolders({ machine, env })]
}

// A rootless dockerd follows the XDG Base Directory Specification; podman reads only ~/.config.
function userFolders({ machine: { platform, home }, env }: HostEnvironment): readonly string[] {
  if (platform === 'darwin') return [join(home, '.docker/certs.d')]
  const configHome = env['XDG_CONFIG_HOME'] ?? ''
  return [
    join(home, '.config/containers/certs.d'),
    join(configHome === '' ? join(home, '.config') : configHome, 'docker/certs.d'),
  ]
}
