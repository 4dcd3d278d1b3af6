// Finds the clients that are installed on this machine.

import { join } from 'node:path'
import { existsFile } from '../../files/regular-file.ts'
import { findOnPath } from '../quickstart/run-program.ts'
import type { HostEnvironment } from './certs-folders.ts'

interface Signs {
  readonly programs?: readonly string[]
  readonly etc?: readonly string[]
  readonly home?: readonly string[]
  /** The required platform. Without other signs, the platform alone is enough. */
  readonly platform?: NodeJS.Platform
}

// No signs: ctr and dockerd-rootless.sh, which Docker's packages always install, and files of `trust --install`.
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

export async function foundClients(environment: HostEnvironment): Promise<readonly string[]> {
  const names: string[] = []
  for (const [name, signs] of Object.entries(SIGNS)) {
    if (await isFound(signs, environment)) names.push(name)
  }
  return names
}

async function isFound(
  { programs = [], etc = [], home = [], platform }: Signs,
  { machine, env }: HostEnvironment,
): Promise<boolean> {
  if (platform !== undefined && platform !== machine.platform) return false
  const isPlatformEnough = programs.length + etc.length + home.length === 0
  if (isPlatformEnough) return true
  for (const program of programs) {
    if ((await findOnPath(program, env)) !== undefined) return true
  }
  const paths = [...etc.map((one) => join(machine.etc, one)), ...home.map((one) => join(machine.home, one))]
  for (const path of paths) {
    if (await existsFile(path)) return true
  }
  return false
}
