import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Machine } from '../../src/commands/machine.ts'
import { trust, type TrustRequest } from '../../src/commands/trust.ts'
import type { ClientTrust } from '../../src/commands/trust/client-trust.ts'
import type { World } from '../../src/commands/world.ts'
import { parseConfig } from '../../src/config.ts'
import { CommandError, ConfigError, InvalidFileError } from '../../src/errors.ts'
import type { Root } from '../../src/tls/certificate.ts'
import { openKeystore } from '../../src/tls/keystore.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

interface Scene {
  readonly folder: string
  readonly root: Root
  readonly machine: Machine
  /** Runs `trust` with these flags; resolves to what it printed. */
  readonly print: (flags?: Partial<TrustRequest>, env?: Record<string, string>) => Promise<string>
}

interface Document {
  readonly path: string
  readonly fingerprint: string
  readonly notAfter: string
  readonly host: string
  readonly clients: readonly ClientTrust[]
  readonly installed?: readonly { readonly file: string; readonly outcome: string }[]
}

async function setScene(changes: Partial<Machine> = {}): Promise<Scene> {
  const folder = tempFolder()
  const stateDir = path.join(folder, 'state')
  const { root } = await openKeystore({
    folder: stateDir,
    names: [{ type: 'dns', value: 'proxy' }],
    now: new Date(),
  })
  const [home, etc] = [path.join(folder, 'home'), path.join(folder, 'etc')]
  const machine: Machine = { platform: 'linux', hostname: 'workshop', isRoot: true, home, etc, ...changes }
  const print: Scene['print'] = async (flags, env) => {
    const config = parseConfig({ env: { SIDECAR_STATE_DIR: stateDir, ...env } })
    const { world, printed } = createWorld()
    expect(await trust({ config, install: false, pem: false, json: false, machine, ...flags }, world)).toBe(0)
    return printed()
  }
  return { folder, root, machine, print }
}

function createWorld(): { readonly world: World; readonly printed: () => string } {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const world = { env: {}, stdin, stdout, stderr, onSignal: () => () => undefined }
  return { world, printed: () => ((stdout.read() as Buffer | null) ?? '').toString() }
}

function commandsOf(text: string, client: string): readonly string[] {
  return (JSON.parse(text) as Document).clients.find((one) => one.client === client)?.commands ?? []
}

describe('trust prints', () => {
  it('where the root is, its fingerprint, and until when it is valid', async () => {
    const { root, print } = await setScene()
    const text = await print()
    expect(text).toContain(path.resolve(root.file))
    expect(text).toContain(root.fingerprint)
    expect(text).toContain(root.notAfter.toISOString().slice(0, 10))
  })

  it('how another machine fetches and checks it, and that the port is part of the key', async () => {
    const { print } = await setScene()
    const text = await print({ host: 'proxy:8443' })
    expect(text).toContain('curl -fsSk -o registry-ca.crt https://proxy:8443/-/ca.crt\n')
    expect(text).toContain('openssl x509 -noout -fingerprint -sha256 -in registry-ca.crt\n')
    expect(text).toMatch(/HOST and HOST:443 are different keys/)
  })

  it('the exact commands for each client', async () => {
    const { root, print } = await setScene({ isRoot: false })
    const text = await print({ host: 'proxy:8443' })
    const install = `install -D -m 644 ${root.file}`
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        `  sudo ${install} /etc/docker/certs.d/proxy:8443/ca.crt`,
        `  sudo ${install} /etc/containers/certs.d/proxy:8443/ca.crt`,
        `  ${install} ~/.config/containers/certs.d/proxy:8443/ca.crt`,
        `sudo tee /etc/containerd/certs.d/proxy:8443/hosts.toml >/dev/null <<'EOF'`,
        '[registry."proxy:8443"]',
        `  ca = ["${root.file}"]`,
        `  /kaniko/executor --registry-certificate proxy:8443=${root.file} --destination proxy:8443/NAME:TAG`,
        `  SSL_CERT_FILE=${root.file} crane catalog proxy:8443`,
        `  helm registry login --ca-file ${root.file} proxy:8443`,
        "sudo tee /etc/rancher/k3s/registries.yaml >/dev/null <<'EOF'",
        '  sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain registry-ca.crt',
        '  certutil -addstore -f Root registry-ca.crt',
      ]),
    )
  })

  it('the certificate alone with --pem', async () => {
    const { root, print } = await setScene()
    expect(await print({ pem: true })).toBe(root.pem)
  })

  it('one document with --json', async () => {
    const { root, print } = await setScene()
    const { clients, ...facts } = JSON.parse(await print({ json: true })) as Document
    const { fingerprint, notAfter } = root
    expect(facts).toEqual({
      path: root.file,
      fingerprint,
      notAfter: notAfter.toISOString(),
      host: 'workshop:8443',
    })
    const names =
      'docker docker-rootless podman containerd buildkit kaniko crane oras helm kubernetes k3s macos windows'
    expect(clients.map(({ client }) => client)).toEqual(names.split(' '))
    expect(clients.every(({ commands, note }) => commands.length > 0 && note !== '')).toBe(true)
  })

  it('commands that work in a shell, whatever the path and the host', async () => {
    const { folder, root, print } = await setScene()
    const awkward = path.join(folder, "it's a state")
    execFileSync('cp', ['-r', path.dirname(root.file), awkward])
    const text = await print({ json: true, host: '[::1]:8443' }, { SIDECAR_STATE_DIR: awkward })
    const script = [...commandsOf(text, 'docker'), ...commandsOf(text, 'containerd')]
    execFileSync('sh', ['-e', '-c', script.join('\n').replaceAll('/etc/', `${folder}/etc/`)])
    expect(readFileSync(path.join(folder, 'etc/docker/certs.d/[::1]:8443/ca.crt'), 'utf8')).toBe(root.pem)
    const hosts = readFileSync(path.join(folder, 'etc/containerd/certs.d/[::1]:8443/hosts.toml'), 'utf8')
    expect(hosts).toMatch(
      /^server = "https:\/\/\[::1\]:8443"\n\n\[host\."https:\/\/\[::1\]:8443"\]\n {2}ca = "/,
    )
  })
})

describe('the host that clients call', () => {
  it.each<[what: string, env: Record<string, string>, expected: string]>([
    ['is the host name and the port without settings', {}, 'workshop:8443'],
    ['is the first of SIDECAR_HOSTS', { SIDECAR_HOSTS: 'proxy,other' }, 'proxy:8443'],
    ['is no wildcard', { SIDECAR_HOSTS: '*.example.com,proxy.example.com' }, 'proxy.example.com:8443'],
    ['carries brackets as an IPv6 address', { SIDECAR_HOSTS: '2001:db8::1' }, '[2001:db8::1]:8443'],
    ['has the port that is listened on', { SIDECAR_LISTEN: '127.0.0.1:9443' }, 'workshop:9443'],
  ])('%s', async (_what, env, expected) => {
    const { print } = await setScene()
    expect((JSON.parse(await print({ json: true }, env)) as Document).host).toBe(expected)
  })

  it.each(['proxy', 'proxy:8443', 'Proxy.Example.com:1', '10.0.0.1:65535', '[::1]', '[::1]:443'])(
    'is taken as given: %s',
    async (host) => {
      const { print } = await setScene()
      expect((JSON.parse(await print({ json: true, host })) as Document).host).toBe(host)
    },
  )

  it.each([
    '',
    ':8443',
    'https://proxy',
    'proxy/x',
    '../x',
    'proxy:0',
    'proxy:65536',
    'proxy:x',
    '::1',
    '*.a.b',
    'a b',
  ])('is refused as wrong usage: "%s"', async (host) => {
    const { print } = await setScene()
    await expect(print({ host, install: true })).rejects.toThrow(ConfigError)
  })

  it('stands with and without its port when that is 443, since people write both', async () => {
    const { print } = await setScene()
    const text = await print({ json: true }, { SIDECAR_LISTEN: ':443' })
    expect((JSON.parse(text) as Document).host).toBe('workshop:443')
    const folders = commandsOf(text, 'docker').map((command) => path.basename(path.dirname(command)))
    expect(folders).toEqual(['workshop:443', 'workshop'])
  })

  it('must be given when the system picks the port', async () => {
    const { print } = await setScene()
    await expect(print({}, { SIDECAR_LISTEN: ':0' })).rejects.toThrow(/--host HOST:PORT/)
    expect(await print({ host: 'proxy:8443' }, { SIDECAR_LISTEN: ':0' })).toContain('proxy:8443')
  })
})

describe('trust --install', () => {
  it.each<[what: string, machine: Partial<Machine>, files: readonly string[]]>([
    ['root', {}, ['etc/docker/certs.d', 'etc/containers/certs.d']],
    ['a user', { isRoot: false }, ['home/.config/containers/certs.d', 'home/.config/docker/certs.d']],
    ['a Mac', { platform: 'darwin' }, ['home/.docker/certs.d']],
  ])(
    'writes the files that clients of %s read, and the second time finds them there',
    async (_what, machine, folders) => {
      const { folder, root, print } = await setScene(machine)
      const files = folders.map((one) => path.join(folder, one, 'proxy:8443/ca.crt'))
      const first = await print({ install: true, host: 'proxy:8443' })
      for (const file of files) {
        expect(first).toContain(`written      ${file}\n`)
        expect(readFileSync(file, 'utf8')).toBe(root.pem)
        expect(statSync(file).mode & 0o444).toBe(0o444)
      }
      const second = await print({ install: true, host: 'proxy:8443' })
      for (const file of files) expect(second).toContain(`already there${file}\n`)
    },
  )

  it('puts the root in the place of another', async () => {
    const { folder, root, print } = await setScene()
    const file = path.join(folder, 'etc/docker/certs.d/proxy:8443/ca.crt')
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, 'an earlier root')
    expect(await print({ install: true, host: 'proxy:8443' })).toContain(`replaced     ${file}\n`)
    expect(readFileSync(file, 'utf8')).toBe(root.pem)
  })

  it('writes both keys of port 443, but only the one that is given', async () => {
    const { print } = await setScene()
    const installedBy = async (flags: Partial<TrustRequest>) => {
      const text = await print({ install: true, json: true, ...flags }, { SIDECAR_LISTEN: ':443' })
      const files = (JSON.parse(text) as Document).installed ?? []
      return new Set(files.map(({ file }) => path.basename(path.dirname(file))))
    }
    expect(await installedBy({})).toEqual(new Set(['workshop:443', 'workshop']))
    expect(await installedBy({ host: 'proxy:443' })).toEqual(new Set(['proxy:443']))
  })

  it('says what to do on Windows, which has no such folders', async () => {
    const { print } = await setScene({ platform: 'win32' })
    await expect(print({ install: true })).rejects.toThrow(/colon/)
  })

  it('names sudo for a folder that it may not write', async () => {
    const { folder, root, print } = await setScene()
    for (const readable of [folder, path.dirname(root.file)]) chmodSync(readable, 0o555)
    const failure = asNobody(() => print({ install: true }))
    await expect(failure).rejects.toThrow(CommandError)
    await expect(failure).rejects.toThrow(/ca\.crt: permission denied; run the same command with sudo/)
  })
})

/** Root may write everywhere: it steps back for a moment. */
async function asNobody<T>(act: () => Promise<T>): Promise<T> {
  const uid = process.geteuid?.()
  if (uid === 0) process.seteuid?.(65_534)
  try {
    return await act()
  } finally {
    if (uid === 0) process.seteuid?.(0)
  }
}

describe('trust refuses', () => {
  it('a state folder without a root, and issues none', async () => {
    const { folder, print } = await setScene()
    const nowhere = path.join(folder, 'nowhere')
    await expect(print({}, { SIDECAR_STATE_DIR: nowhere })).rejects.toThrow(InvalidFileError)
    expect(() => statSync(nowhere)).toThrow('ENOENT')
  })

  it.each(['install', 'json'])('--pem together with --%s', async (flag) => {
    const { print } = await setScene()
    await expect(print({ pem: true, [flag]: true })).rejects.toThrow(ConfigError)
  })
})
