// Writes the instructions for containerd, Kubernetes nodes, k3s and RKE2.

import type { ClientTrust, TrustSubject } from './client-setup.ts'
import { copyFile, fetchCommands, FETCHED_FILE, hereDocument, quoted, sudo } from './shell-commands.ts'

const CRI_REGISTRY = {
  2: `[plugins."io.containerd.grpc.v1.cri".registry]`,
  3: `[plugins."io.containerd.cri.v1.images".registry]`,
} as const

export function containerd({ keys, file, machine }: TrustSubject): ClientTrust {
  return {
    client: 'containerd',
    commands: hostsFiles(keys, file, sudo(machine)),
    note:
      'containerd reads these files at every pull, but only from the folder that its configuration names. So ' +
      '/etc/containerd/config.toml needs the line config_path = "/etc/containerd/certs.d". In a file of version 3, the ' +
      `line stands under ${CRI_REGISTRY[3]}. In a file of version 2, it stands under ${CRI_REGISTRY[2]}. Restart ` +
      'containerd after you add the line. The default of containerd 2.2 has two folders with a colon between them: ' +
      'leave only this folder, because some pulls read both as one path. nerdctl needs no such line. Without root, ' +
      'nerdctl reads ~/.config/containerd/certs.d. ctr needs --hosts-dir /etc/containerd/certs.d',
  }
}

export function kubernetes({ keys }: TrustSubject): ClientTrust {
  return {
    client: 'kubernetes',
    commands: [...fetchCommands(keys[0]), ...hostsFiles(keys, FETCHED_FILE, 'sudo ')],
    note:
      'run this on each node, because the containerd of the node pulls. For config_path see containerd; for nodes with ' +
      'CRI-O see podman; for nodes with cri-dockerd see docker',
  }
}

export function k3s({ keys }: TrustSubject): ClientTrust {
  const caFile = `/etc/rancher/${FETCHED_FILE}`
  const lines = [
    // Releases before 1.29.4 use only the TLS settings of endpoints (k3s issue 9839).
    'mirrors:',
    ...keys.flatMap((key) => [`  "${key}":`, '    endpoint:', `      - "https://${key}"`]),
    'configs:',
    ...keys.flatMap((key) => [`  "${key}":`, '    tls:', `      ca_file: ${caFile}`]),
  ]
  return {
    client: 'k3s',
    commands: [
      ...fetchCommands(keys[0]),
      `sudo ${copyFile(FETCHED_FILE, caFile)}`,
      hereDocument('sudo tee /etc/rancher/k3s/registries.yaml', lines),
      'sudo systemctl restart k3s',
    ],
    note:
      'run this on each node; on agents the service is k3s-agent. RKE2 has /etc/rancher/rke2/registries.yaml and the ' +
      'services rke2-server and rke2-agent. If that file exists, add these lines to it instead of replacing it',
  }
}

function hostsFiles(keys: readonly string[], file: string, asRoot: string): readonly string[] {
  return keys.flatMap((key) => {
    const folder = `/etc/containerd/certs.d/${key}`
    const lines = [`server = "https://${key}"`, '', `[host."https://${key}"]`, `  ca = "${folder}/ca.crt"`]
    const hostsFile = quoted(`${folder}/hosts.toml`)
    return [
      `${asRoot}${copyFile(file, quoted(`${folder}/ca.crt`))}`,
      hereDocument(`${asRoot}tee ${hostsFile}`, lines),
    ]
  })
}
