// Lists the clients with the commands that make them trust the root.

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

export function trustClients(subject: TrustSubject): readonly ClientTrust[] {
  return [
    docker(subject),
    dockerRootless(subject),
    podman(subject),
    containerd(subject),
    buildkit(subject),
    kaniko(subject),
    ...systemStoreClients(subject),
    kubernetes(subject),
    k3s(subject),
    macos(subject),
    windows(subject),
  ]
}

/** The clients that this machine most likely has. */
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
    note: 'For dockerd on Linux. It reads the file at every operation, so it needs no restart. For localhost, it needs no file',
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
      'Also for skopeo, buildah and CRI-O. A command with /etc is for all users of the machine, a command with ~ only ' +
      'for you. No program needs a restart. podman reads only the first of these folders that exists: yours, ' +
      '/etc/containers, /etc/docker. On macOS and Windows, podman pulls inside a virtual machine. There, run podman ' +
      'machine ssh and then the commands for Linux' +
      certDirNote(certDir),
  }
}

function certDirNote(certDir: string | undefined): string {
  if (certDir === undefined) return ''
  return (
    `. For a single command: --cert-dir ${quoted(certDir)}, which holds only the root. Do not use the state ` +
    'folder, because these clients read each *.key in it as the key of a client certificate'
  )
}

// The folder that a rootless dockerd reads (XDG Base Directory Specification). podman reads only ~/.config.
const CONFIG_HOME = '${XDG_CONFIG_HOME:-$HOME/.config}'

function dockerRootless({ keys, file }: TrustSubject): ClientTrust {
  return {
    client: 'docker-rootless',
    commands: keys.map((key) => copyFile(file, `"${CONFIG_HOME}"/docker/certs.d/${quoted(key)}/ca.crt`)),
    note: 'for a rootless dockerd; no restart',
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
      'for a separate builder, which gets a copy of the certificate when it is created; older buildx needs --config ' +
      'instead of --buildkitd-config. docker build without a separate builder uses dockerd: follow the commands for docker. A separate buildkitd ' +
      'reads /etc/buildkit/buildkitd.toml when it starts; without root it reads ~/.config/buildkit/buildkitd.toml',
  }
}

function kaniko({ keys, file }: TrustSubject): ClientTrust {
  const flags = keys.map((key) => `--registry-certificate=${quoted(`${key}=${file}`)}`)
  return {
    client: 'kaniko',
    commands: [`/kaniko/executor ${flags.join(' ')} --destination ${keys[0]}/NAME:TAG`],
    note:
      'use the path of the certificate in the container, where for example a ConfigMap is mounted. In the args of a pod, ' +
      'write each flag as one list item: --registry-certificate=HOST:PORT=FILE',
  }
}

function systemStoreClients({ keys, file }: TrustSubject): readonly ClientTrust[] {
  const note =
    'or add it to the system store: /usr/local/share/ca-certificates/*.crt and update-ca-certificates on Debian, ' +
    '/etc/pki/ca-trust/source/anchors and update-ca-trust on Fedora. On macOS and Windows these ' +
    'clients read only the system store'
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
  const rootFile = machine.platform === 'darwin' ? quoted(file) : FETCHED_FILE
  return {
    client: 'macos',
    commands: [
      `sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${rootFile}`,
      ...keys.map((key) => {
        const folder = `~/.docker/certs.d/${quoted(key)}`
        return `mkdir -p ${folder} && cp ${rootFile} ${folder}/ca.crt`
      }),
    ],
    note: 'The first command is for programs that use the keychain, the rest for Docker Desktop. Then restart Docker Desktop',
  }
}

function windows({ keys, file, machine }: TrustSubject): ClientTrust {
  const isThisMachine = machine.platform === 'win32'
  const rootFile = isThisMachine ? `"${file}"` : FETCHED_FILE
  return {
    client: 'windows',
    commands: [
      ...(isThisMachine ? [] : fetchCommandsForWindows(keys[0])),
      `certutil -addstore -f Root ${rootFile}`,
      `Import-Certificate -FilePath ${rootFile} -CertStoreLocation Cert:\\LocalMachine\\Root`,
    ],
    note:
      'Run one of the last two commands in PowerShell as administrator. Then restart Docker Desktop. An engine for ' +
      'Windows containers reads C:\\ProgramData\\docker\\certs.d\\. There the name of the folder is host and port ' +
      'without the colon, because a path on Windows cannot contain a colon',
  }
}
