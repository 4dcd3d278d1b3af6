import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError, InvalidFileError } from '../../src/errors.ts'
import { createPublicRoot } from '../../src/tls/public-root.ts'
import { commandsOf, setScene, type Document } from '../fixtures/trust-scene.ts'

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
    const text = await print({ hosts: ['proxy:8443'] })
    expect(text).toContain('curl -fsSk -o registry-ca.crt https://proxy:8443/-/ca.crt\n')
    expect(text).toContain('openssl x509 -noout -fingerprint -sha256 -in registry-ca.crt\n')
    expect(text).toMatch(/HOST and HOST:443 are different keys/)
  })

  it('the exact commands for each client', async () => {
    const { root, print } = await setScene({ isRoot: false })
    const text = await print({ hosts: ['proxy:8443'] })
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
    await createPublicRoot(folder, undefined).publish(root.pem)
    expect(await print()).toContain(`--cert-dir ${path.join(folder, 'trust')}, which holds the root`)
    writeFileSync(path.join(folder, 'trust', 'ca.crt'), 'another')
    expect(await print()).not.toContain('--cert-dir')
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
    const text = await print({ json: true, hosts: ['[::1]:8443'] }, { SIDECAR_STATE_DIR: awkward })
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
    expect(await print({ hosts: ['proxy:8443'] }, { SIDECAR_LISTEN: ':0' })).toContain('proxy:8443')
  })
})

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
