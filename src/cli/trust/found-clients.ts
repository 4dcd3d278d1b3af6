// Finds the clients that are installed on this machine.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { findOnPath } from '../quickstart/run-program.ts'
import type { Whose } from './certs-folders.ts'

interface Signs {
  readonly programs?: readonly string[]
  /** Below /etc. */
  readonly etc?: readonly string[]
  /** Below the home folder. */
  readonly home?: readonly string[]
  /** The platform where it counts, everywhere if absent. Without other signs the platform is the sign. */
  readonly platform?: NodeJS.Platform
}

// Not a sign: what Docker's packages bring along unused (ctr, dockerd-rootless.sh), and what `trust --install` creates.
const SIGNS: Readonly<Record<string, Signs>> = {
  docker: { programs: ['docker', 'dockerd'], platform: 'linux' },
  'docker-rootless': { home: ['.config/systemd/user/docker.service'], platform: 'linux' },
  podman: { programs: ['podman', 'skopeo', 'buildah'], platform: 'linux' },
  containerd: { programs: ['nerdctl'], platform: 'linux' },
  buildkit: { programs: ['buildkitd', 'buildctl'], platform: 'linux' },
  crane: { programs: ['crane'] },
  oras: { programs: ['oras'] },
  helm: { programs: ['helm'] },
  kubernetes: { programs: ['kubelet'], etc: ['kubernetes'], platform: 'linux' },
  k3s: { programs: ['k3s', 'rke2'], etc: ['rancher'], platform: 'linux' },
  macos: { platform: 'darwin' },
  windows: { platform: 'win32' },
}

/** The names of the clients that this machine shows signs of. */
export async function foundClients(whose: Whose): Promise<readonly string[]> {
  const names: string[] = []
  for (const [name, signs] of Object.entries(SIGNS)) {
    if (await isFound(signs, whose)) names.push(name)
  }
  return names
}

async function isFound(
  { programs = [], etc = [], home = [], platform }: Signs,
  { machine, env }: Whose,
): Promise<boolean> {
  if (platform !== undefined && platform !== machine.platform) return false
  const isPlatformEnough = programs.length + etc.length + home.length === 0
  if (isPlatformEnough) return true
  for (const program of programs) {
    if ((await findOnPath(program, env)) !== undefined) return true
  }
  const paths = [...etc.map((one) => join(machine.etc, one)), ...home.map((one) => join(machine.home, one))]
  for (const path of paths) {
    if (await isThere(path)) return true
  }
  return false
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
