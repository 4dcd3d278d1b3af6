import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError, InvalidFileError } from '../../../src/errors/errors.ts'
import { createPublicRoot } from '../../../src/certificates/state-folder/public-root.ts'
import { commandsOf, setScene, type Document } from '../../fixtures/trust-scene.ts'

describe('trust prints', () => {
  it('the path, fingerprint and validity of the root', async () => {
    const { root, print } = await setScene()
    const text = await print()
    expect(text).toContain(path.resolve(root.file))
    expect(text).toContain(root.fingerprint)
    expect(text).toContain(root.notAfter.toISOString().slice(0, 10))
  })

  it('how another machine fetches and checks the root, and that the port is part of the key', async () => {
    const { print } = await setScene()
    const text = await print({ hosts: ['proxy:8443'] })
    expect(text).toContain('curl -fsSk -o registry-ca.crt https://proxy:8443/-/ca.crt\n')
    expect(text).toContain('openssl x509 -noout -fingerprint -sha256 -in registry-ca.crt\n')
    expect(text).toMatch(/HOST and HOST:443 are different keys/)
  })

  it('the exact commands for each client', async () => {
    const { root, print } = await setScene({ isRoot: false })
    const text = await print({ hosts: ['proxy:8443'], all: true })
    const install = `install -D -m 644 ${root.file}`
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        `  sudo ${install} /etc/docker/certs.d/proxy:8443/ca.crt`,
        `  sudo ${install} /etc/containers/certs.d/proxy:8443/ca.crt`,
        `  ${install} ~/.config/containers/certs.d/proxy:8443/ca.crt`,
        `sudo tee /etc/containerd/certs.d/proxy:8443/hosts.toml >/dev/null <<'EOF'`,
        '[registry."proxy:8443"]',
        `  ca = ["${root.file}"]`,
        `  /kaniko/executor --registry-certificate=proxy:8443=${root.file} --destination proxy:8443/NAME:TAG`,
        `  SSL_CERT_FILE=${root.file} crane catalog proxy:8443`,
        `  helm registry login --ca-file ${root.file} proxy:8443`,
        "sudo tee /etc/rancher/k3s/registries.yaml >/dev/null <<'EOF'",
        '  sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain registry-ca.crt',
        '  certutil -addstore -f Root registry-ca.crt',
      ]),
    )
  })

  it('the folder for --cert-dir, unless it holds another root', async () => {
    const { root, print } = await setScene()
    const folder = path.dirname(root.file)
    expect(await print()).not.toContain('--cert-dir')
    await createPublicRoot({ folder }, undefined).publish(root.pem)
    expect(await print()).toContain(`--cert-dir ${path.join(folder, 'trust')}, which holds only the root`)
    writeFileSync(path.join(folder, 'trust', 'ca.crt'), 'another')
    expect(await print()).not.toContain('--cert-dir')
  })

  it('only the certificate with --pem', async () => {
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
})

describe('the key of the registry', () => {
  it.each<[what: string, env: Record<string, string>, expected: string]>([
    ['is the host name and the port without settings', {}, 'workshop:8443'],
    ['is the first of SIDECAR_HOSTS', { SIDECAR_HOSTS: 'proxy,other' }, 'proxy:8443'],
    ['is never a wildcard', { SIDECAR_HOSTS: '*.example.com,proxy.example.com' }, 'proxy.example.com:8443'],
    ['has brackets around an IPv6 address', { SIDECAR_HOSTS: '2001:db8::1' }, '[2001:db8::1]:8443'],
    ['has the port of SIDECAR_LISTEN', { SIDECAR_LISTEN: '127.0.0.1:9443' }, 'workshop:9443'],
  ])('%s', async (_what, env, expected) => {
    const { print } = await setScene()
    expect((JSON.parse(await print({ json: true }, env)) as Document).host).toBe(expected)
  })

  it.each(['proxy', 'proxy:8443', 'Proxy.Example.com:1', '10.0.0.1:65535', '[::1]', '[::1]:443'])(
    'is taken as given: %s',
    async (host) => {
      const { print } = await setScene()
      expect((JSON.parse(await print({ json: true, hosts: [host] })) as Document).host).toBe(host)
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
    await expect(print({ hosts: [host], install: true })).rejects.toThrow(ConfigError)
  })

  it('has a form with and without port 443, because people write both', async () => {
    const { print } = await setScene()
    const text = await print({ json: true }, { SIDECAR_LISTEN: ':443' })
    expect((JSON.parse(text) as Document).host).toBe('workshop:443')
    const folders = commandsOf(text, 'docker').map((command) => path.basename(path.dirname(command)))
    expect(folders).toEqual(['workshop:443', 'workshop', 'localhost:443', 'localhost'])
  })

  it('must be given when the system picks the port', async () => {
    const { print } = await setScene()
    await expect(print({}, { SIDECAR_LISTEN: ':0' })).rejects.toThrow(/--host HOST:PORT/)
    expect(await print({ hosts: ['proxy:8443'] }, { SIDECAR_LISTEN: ':0' })).toContain('proxy:8443')
  })
})

describe('trust without a choice of clients', () => {
  /** The clients whose commands a text shows. */
  const clientsIn = (text: string): readonly string[] =>
    [...text.matchAll(/^([a-z0-9-]+): /gm)].map(([, client = '']) => client)

  it('shows the clients found on this machine', async () => {
    const { folder, print } = await setScene()
    const bin = path.join(folder, 'bin')
    mkdirSync(bin)
    for (const program of ['skopeo', 'helm']) writeFileSync(path.join(bin, program), '', { mode: 0o755 })
    mkdirSync(path.join(folder, 'etc/rancher'), { recursive: true })
    const text = await print({}, { PATH: bin })
    expect(clientsIn(text)).toEqual(['podman', 'helm', 'k3s'])
    expect(text).toMatch(/--client NAME, or --all \(docker, docker-rootless, containerd, .*windows\)/)
    expect(text.split('\n').length).toBeLessThan(50)
  })

  it('shows docker and podman when it finds no client', async () => {
    const { print } = await setScene()
    const text = await print({}, { PATH: '' })
    expect(clientsIn(text)).toEqual(['docker', 'podman'])
    expect(text.split('\n').length).toBeLessThan(25)
  })

  it('shows on a Mac its clients, and none of Linux', async () => {
    const { folder, print } = await setScene({ platform: 'darwin', isRoot: false })
    const bin = path.join(folder, 'bin')
    mkdirSync(bin)
    for (const program of ['docker', 'crane']) writeFileSync(path.join(bin, program), '', { mode: 0o755 })
    expect(clientsIn(await print({}, { PATH: bin }))).toEqual(['crane', 'macos'])
  })

  it('shows the chosen clients with --client, and all with --all and in JSON', async () => {
    const { print } = await setScene()
    expect(clientsIn(await print({ clients: ['crane', 'k3s'] }))).toEqual(['crane', 'k3s'])
    const names = (JSON.parse(await print({ json: true })) as Document).clients.map(({ client }) => client)
    expect(clientsIn(await print({ all: true }))).toEqual(names)
    const chosen = JSON.parse(await print({ json: true, clients: ['helm'] })) as Document
    expect(chosen.clients.map(({ client }) => client)).toEqual(['helm'])
  })

  it.each<[what: string, env: Record<string, string>, host: string]>([
    ['only localhost without settings', {}, 'localhost:8443'],
    [
      'those of SIDECAR_HOSTS and localhost',
      { SIDECAR_HOSTS: 'proxy,*.lab.example,10.0.0.1' },
      'proxy:8443 and 10.0.0.1:8443 and localhost:8443',
    ],
    [
      'each of them once',
      { SIDECAR_HOSTS: 'localhost,proxy', SIDECAR_LISTEN: ':443' },
      'proxy:443 and proxy and localhost:443 and localhost',
    ],
  ])('uses names that are known to be in use: %s', async (_what, env, host) => {
    const { print } = await setScene()
    const text = await print({}, env)
    expect(text).toContain(`host         ${host}\n`)
    expect(text).not.toContain('workshop')
  })

  it('fetches by a name that other machines can use, or asks for such a name', async () => {
    const { print } = await setScene()
    expect(await print({}, { SIDECAR_HOSTS: 'proxy' })).toContain('https://proxy:8443/-/ca.crt')
    const text = await print()
    expect(text).not.toContain('curl')
    expect(text).toContain(
      'For other machines, run this command with --host HOST:PORT, the name that they use.',
    )
  })

  it('lists the other names of the certificate', async () => {
    const { print } = await setScene()
    expect(await print()).toContain('the certificate also carries proxy')
    expect(await print({ hosts: ['proxy:8443'] })).not.toContain('also carries')
  })
})

describe('trust refuses', () => {
  it.each(['install', 'uninstall', 'pem'])('--client and --all together with --%s', async (flag) => {
    const { print } = await setScene()
    await expect(print({ all: true, [flag]: true })).rejects.toThrow(ConfigError)
    await expect(print({ clients: ['docker'], [flag]: true })).rejects.toThrow(ConfigError)
  })

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
