// What makes each client trust the root: a table of clients, each with its commands and what to know about them.

import type { ClientTrust, TrustSubject } from './client-setup.ts'
import { containerd, k3s, kubernetes } from './containerd.ts'
import {
  copyFile,
  FETCHED_FILE,
  fetchCommandsForWindows,
  hereDocument,
  quoted,
  sudo,
} from './shell-commands.ts'

/** The clients, and what each of them needs. */
export function trustClients(subject: TrustSubject): readonly ClientTrust[] {
  return [
    docker(subject),
    dockerRootless(subject),
    podman(subject),
    containerd(subject),
    buildkit(subject),
    kaniko(subject),
    ...withSystemPool(subject),
    kubernetes(subject),
    k3s(subject),
    macos(subject),
    windows(subject),
  ]
}

/** Of these, the ones that a newcomer most likely has on this very machine. */
export function clientsHere(subject: TrustSubject): readonly ClientTrust[] {
  switch (subject.machine.platform) {
    case 'darwin':
      return [macos(subject)]
    case 'win32':
      return [windows(subject)]
    default:
      return [docker(subject), podman(subject)]
  }
}

function docker({ keys, file, machine }: TrustSubject): ClientTrust {
  return {
    client: 'docker',
    commands: keys.map(
      (key) => `${sudo(machine)}${copyFile(file, `/etc/docker/certs.d/${quoted(key)}/ca.crt`)}`,
    ),
    note: 'dockerd on Linux; it reads this at every operation, no restart; for localhost it needs nothing',
  }
}

function podman({ keys, file, certDir, machine }: TrustSubject): ClientTrust {
  return {
    client: 'podman',
    commands: keys.flatMap((key) => [
      `${sudo(machine)}${copyFile(file, `/etc/containers/certs.d/${quoted(key)}/ca.crt`)}`,
      copyFile(file, `~/.config/containers/certs.d/${quoted(key)}/ca.crt`),
    ]),
    note:
      'skopeo, buildah and CRI-O too; the first for everyone on the machine, the second for you alone; no restart. Only ' +
      'the first folder that exists is read: yours, /etc/containers, /etc/docker. On a Mac or Windows podman pulls in ' +
      `its machine: podman machine ssh, and there as on Linux${certDirNote(certDir)}`,
  }
}

function certDirNote(certDir: string | undefined): string {
  if (certDir === undefined) return ''
  return (
    `. For one command alone: --cert-dir ${quoted(certDir)}, which holds the root and nothing else. Do not give the ` +
    'state folder: these clients take each *.key in it for the key of a client certificate'
  )
}

// Where a dockerd without root looks (XDG Base Directory Specification); podman knows only ~/.config.
const CONFIG_HOME = '${XDG_CONFIG_HOME:-$HOME/.config}'

function dockerRootless({ keys, file }: TrustSubject): ClientTrust {
  return {
    client: 'docker-rootless',
    commands: keys.map((key) => copyFile(file, `"${CONFIG_HOME}"/docker/certs.d/${quoted(key)}/ca.crt`)),
    note: 'for a dockerd that you run without root; no restart',
  }
}

function buildkit({ keys, file }: TrustSubject): ClientTrust {
  const lines = keys.flatMap((key) => [`[registry."${key}"]`, `  ca = [${JSON.stringify(file)}]`])
  return {
    client: 'buildkit',
    commands: [
      hereDocument('tee buildkitd.toml', lines),
      'docker buildx create --name trusting --driver docker-container --buildkitd-config buildkitd.toml --use',
    ],
    note:
      'for a builder of its own (older buildx: --config), which gets a copy of the certificate when it is made; docker ' +
      'build without one asks dockerd, see docker. A buildkitd of yours reads /etc/buildkit/buildkitd.toml at its start, ' +
      'without root ~/.config/buildkit/buildkitd.toml',
  }
}

function kaniko({ keys, file }: TrustSubject): ClientTrust {
  const flags = keys.map((key) => `--registry-certificate=${quoted(`${key}=${file}`)}`)
  return {
    client: 'kaniko',
    commands: [`/kaniko/executor ${flags.join(' ')} --destination ${keys[0]}/NAME:TAG`],
    note:
      'give the path under which the certificate is mounted in the container, from a ConfigMap for example; in the args ' +
      'of a pod each of these is one item, with both of its equal signs',
  }
}

function withSystemPool({ keys, file }: TrustSubject): readonly ClientTrust[] {
  const note =
    'or add it to the pool of the system: /usr/local/share/ca-certificates/*.crt and update-ca-certificates on Debian, ' +
    '/etc/pki/ca-trust/source/anchors and update-ca-trust on Fedora. On macOS and Windows only their own store counts'
  const path = quoted(file)
  const key = quoted(keys[0])
  return [
    { client: 'crane', commands: [`SSL_CERT_FILE=${path} crane catalog ${key}`], note },
    {
      client: 'oras',
      commands: [`oras login --ca-file ${path} ${key}`, `SSL_CERT_FILE=${path} oras login ${key}`],
      note,
    },
    {
      client: 'helm',
      commands: [
        `helm registry login --ca-file ${path} ${key}`,
        `helm pull --ca-file ${path} oci://${key}/CHART`,
      ],
      note,
    },
  ]
}

function macos({ keys, file, machine }: TrustSubject): ClientTrust {
  const here = machine.platform === 'darwin' ? quoted(file) : FETCHED_FILE
  return {
    client: 'macos',
    commands: [
      `sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${here}`,
      ...keys.map((key) => {
        const folder = `~/.docker/certs.d/${quoted(key)}`
        return `mkdir -p ${folder} && cp ${here} ${folder}/ca.crt`
      }),
    ],
    note: 'the first for everything that uses the keychain, the rest for Docker Desktop, which must be restarted then',
  }
}

function windows({ keys, file, machine }: TrustSubject): ClientTrust {
  const isHere = machine.platform === 'win32'
  const here = isHere ? `"${file}"` : FETCHED_FILE
  return {
    client: 'windows',
    commands: [
      ...(isHere ? [] : fetchCommandsForWindows(keys[0])),
      `certutil -addstore -f Root ${here}`,
      `Import-Certificate -FilePath ${here} -CertStoreLocation Cert:\\LocalMachine\\Root`,
    ],
    note:
      'in PowerShell as administrator, one of the last two, then restart Docker Desktop. No path on Windows may hold a ' +
      'colon: an engine for Windows containers reads C:\\ProgramData\\docker\\certs.d\\ with the host and ' +
      'port written together, without it',
  }
}
