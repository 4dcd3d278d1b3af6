import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Machine } from '../../../src/cli/this-machine.ts'
import { CommandError, ConfigError } from '../../../src/errors/errors.ts'
import { issueRoot } from '../../../src/pki/issue.ts'
import { asNobody } from '../../fixtures/nobody.ts'
import { selfSigned } from '../../fixtures/openssl.ts'
import { createAuthority } from '../../fixtures/own-certificate.ts'
import { setScene, type Document, type Scene } from '../../fixtures/trust-scene.ts'

const KEY = 'proxy:8443'
const HOSTS = { hosts: [KEY] }
// Only root can drop its rights, and run the commands for root.
const isRoot = process.getuid?.() === 0

function inDocker({ folder }: Scene, name = 'ca.crt', key = KEY): string {
  return path.join(folder, 'etc/docker/certs.d', key, name)
}

function put(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** A root of another CA. */
const foreign = (): string => FOREIGN_ROOT
const FOREIGN_ROOT = selfSigned('corporate-root').certPem

/** The outcome of each file, as `outcome name`. */
async function outcomesOf(scene: Scene, verb: 'install' | 'uninstall'): Promise<readonly string[]> {
  const { text } = await scene.run({ [verb]: true, json: true, ...HOSTS })
  const { installed, uninstalled } = JSON.parse(text) as Document
  return (installed ?? uninstalled ?? []).map(
    ({ file, outcome }) => `${outcome} ${path.relative(scene.folder, file)}`,
  )
}

describe('trust --install', () => {
  it.each<[what: string, machine: Partial<Machine>, files: readonly string[]]>([
    ['root', {}, ['etc/docker/certs.d', 'etc/containers/certs.d']],
    ['a user', { isRoot: false }, ['home/.config/containers/certs.d', 'home/.config/docker/certs.d']],
    ['a Mac', { platform: 'darwin', isRoot: false }, ['home/.docker/certs.d']],
  ])(
    'writes the files that clients of %s read, and changes nothing the second time',
    async (_what, machine, folders) => {
      const { folder, root, print } = await setScene(machine)
      const files = folders.map((one) => path.join(folder, one, KEY, 'ca.crt'))
      const first = await print({ install: true, ...HOSTS })
      for (const file of files) {
        expect(first).toContain(`written      ${file}\n`)
        expect(readFileSync(file, 'utf8')).toBe(root.pem)
      }
      const before = files.map((file) => statSync(file).ino)
      const second = await print({ install: true, ...HOSTS })
      for (const file of files) expect(second).toContain(`unchanged    ${file}\n`)
      expect(files.map((file) => statSync(file).ino)).toEqual(before)
    },
  )

  it('writes files that every user can read, with any umask', async () => {
    const scene = await setScene()
    const umask = process.umask(0o077)
    onTestFinished(() => void process.umask(umask))
    await scene.print({ install: true, ...HOSTS })
    const file = inDocker(scene)
    expect(statSync(file).mode & 0o777).toBe(0o644)
    for (const folder of [path.dirname(file), path.join(scene.folder, 'etc/docker')])
      expect(statSync(folder).mode & 0o777).toBe(0o755)
  })

  it('makes a file readable that holds the root but is private', async () => {
    const scene = await setScene()
    put(inDocker(scene), scene.root.pem)
    chmodSync(inDocker(scene), 0o600)
    expect(await outcomesOf(scene, 'install')).toContain(`written etc/docker/certs.d/${KEY}/ca.crt`)
    expect(statSync(inDocker(scene)).mode & 0o777).toBe(0o644)
  })

  it('replaces an earlier root', async () => {
    const scene = await setScene()
    put(inDocker(scene), issueRoot({ now: new Date() }).certPem)
    expect(await outcomesOf(scene, 'install')).toContain(`replaced etc/docker/certs.d/${KEY}/ca.crt`)
    expect(readFileSync(inDocker(scene), 'utf8')).toBe(scene.root.pem)
  })

  it.each([
    ['another root', foreign],
    ['another root and an earlier one', () => `${foreign()}${createAuthority().rootPem}`],
    ['a text without a certificate', () => 'notes'],
  ])('writes a second file, which clients read too, when ca.crt holds %s', async (_what, text) => {
    const scene = await setScene()
    const theirs = text()
    put(inDocker(scene), theirs)
    const beside = `etc/docker/certs.d/${KEY}/registry-sidecar.crt`
    expect(await outcomesOf(scene, 'install')).toContain(`written ${beside}`)
    expect(readFileSync(inDocker(scene), 'utf8')).toBe(theirs)
    expect(readFileSync(path.join(scene.folder, beside), 'utf8')).toBe(scene.root.pem)
    expect(await outcomesOf(scene, 'install')).toContain(`unchanged ${beside}`)
  })

  it('finds the root in a bundle', async () => {
    const scene = await setScene()
    put(inDocker(scene, 'corporate.crt'), `${foreign()}${scene.root.pem}`)
    expect(await outcomesOf(scene, 'install')).toContain(`unchanged etc/docker/certs.d/${KEY}/corporate.crt`)
  })

  it('changes neither a link nor its target, even as root', async () => {
    const scene = await setScene()
    const secret = path.join(scene.folder, 'shadow')
    put(secret, 'root:secret-of-the-system')
    chmodSync(secret, 0o600)
    mkdirSync(path.dirname(inDocker(scene)), { recursive: true })
    symlinkSync(secret, inDocker(scene))
    const text = await scene.print({ install: true, ...HOSTS })
    expect(text).not.toContain('secret-of-the-system')
    expect(readFileSync(secret, 'utf8')).toBe('root:secret-of-the-system')
    expect(statSync(secret).mode & 0o777).toBe(0o600)
    expect(readFileSync(inDocker(scene, 'registry-sidecar.crt'), 'utf8')).toBe(scene.root.pem)
  })

  it('does not wait for a pipe', async () => {
    const scene = await setScene()
    mkdirSync(path.dirname(inDocker(scene)), { recursive: true })
    execFileSync('mkfifo', [inDocker(scene)])
    expect(await outcomesOf(scene, 'install')).toContain(
      `written etc/docker/certs.d/${KEY}/registry-sidecar.crt`,
    )
  })

  it('follows a certs.d that is a link, as clients do', async () => {
    const scene = await setScene()
    mkdirSync(path.join(scene.folder, 'etc/docker/certs.d'), { recursive: true })
    mkdirSync(path.join(scene.folder, 'etc/containers'))
    symlinkSync('../docker/certs.d', path.join(scene.folder, 'etc/containers/certs.d'))
    expect(await outcomesOf(scene, 'install')).toEqual([
      `written etc/docker/certs.d/${KEY}/ca.crt`,
      `unchanged etc/containers/certs.d/${KEY}/ca.crt`,
    ])
  })

  it('writes both keys of port 443, but only given keys', async () => {
    const { print } = await setScene()
    const installedBy = async (hosts: readonly string[]) => {
      const text = await print({ install: true, json: true, hosts }, { SIDECAR_LISTEN: ':443' })
      const files = (JSON.parse(text) as Document).installed ?? []
      return new Set(files.map(({ file }) => path.basename(path.dirname(file))))
    }
    expect(await installedBy([])).toEqual(new Set(['workshop:443', 'workshop', 'localhost:443', 'localhost']))
    expect(await installedBy(['proxy:443'])).toEqual(new Set(['proxy:443']))
    expect(await installedBy(['proxy', 'proxy:443', 'a:1'])).toEqual(new Set(['proxy', 'proxy:443', 'a:1']))
  })

  it('follows XDG_CONFIG_HOME for a rootless dockerd', async () => {
    const { folder, print } = await setScene({ isRoot: false })
    await print({ install: true, ...HOSTS }, { XDG_CONFIG_HOME: path.join(folder, 'xdg') })
    expect(existsSync(path.join(folder, 'xdg/docker/certs.d', KEY, 'ca.crt'))).toBe(true)
  })

  it('names the fix on Windows, which has no such folders', async () => {
    const { print } = await setScene({ platform: 'win32' })
    await expect(print({ install: true })).rejects.toThrow(/colon/)
  })

  it('writes no files of root into a user’s home on a Mac', async () => {
    const { folder, print } = await setScene({ platform: 'darwin' })
    const asked = print({ install: true, ...HOSTS }, { SUDO_USER: 'alice' })
    await expect(asked).rejects.toThrow(CommandError)
    await expect(asked).rejects.toThrow(/without sudo/)
    expect(existsSync(path.join(folder, 'home'))).toBe(false)
  })
})

describe.runIf(isRoot)('trust --install without rights for some folders', () => {
  it('writes the other folders, prints the command for the rest, and exits with 1', async () => {
    const scene = await setScene({ isRoot: false })
    const { folder, root } = scene
    mkdirSync(path.join(folder, 'etc/docker'), { recursive: true })
    mkdirSync(path.join(folder, 'home'))
    for (const one of [folder, path.dirname(root.file)]) chmodSync(one, 0o755)
    chmodSync(path.join(folder, 'home'), 0o777)
    const { code, text } = await asNobody(() => scene.run({ install: true, ...HOSTS }))
    const home = path.join(folder, 'home/.config/containers/certs.d', KEY, 'ca.crt')
    expect(code).toBe(1)
    expect(text).toContain(`written      ${home}\n`)
    expect(text).toContain(`failed       ${inDocker(scene)}: permission denied\n`)
    const command = `sudo install -D -m 644 ${root.file} ${inDocker(scene)}`
    expect(text).toContain(`\n  ${command}\n`)
    execFileSync('sh', ['-c', command.replace('sudo ', '')])
    const after = await asNobody(() => scene.run({ install: true, ...HOSTS }))
    expect(after.code).toBe(0)
    expect(after.text).toContain(`unchanged    ${inDocker(scene)}\n`)
  })

  it('suggests no command that overwrites an unread file', async () => {
    const scene = await setScene({ isRoot: false })
    put(inDocker(scene), foreign())
    for (const one of [scene.folder, path.dirname(scene.root.file)]) chmodSync(one, 0o755)
    chmodSync(path.join(scene.folder, 'etc/docker'), 0o700)
    mkdirSync(path.join(scene.folder, 'home/.config'), { recursive: true })
    const { code, text } = await asNobody(() => scene.run({ install: true, ...HOSTS }))
    expect(code).toBe(1)
    expect(text).toContain(`${inDocker(scene, 'registry-sidecar.crt')}\n`)
    expect(text).not.toMatch(/sudo .*\/ca\.crt$/m)
    // sudo must not give files in a user's home to root.
    const home = path.join(scene.folder, 'home/.config')
    expect(text).toContain(`\n  sudo chown -R "$(id -u):$(id -g)" ${home}  # `)
  })
})

describe('trust --uninstall', () => {
  it('removes the files of --install and the folders of the keys, and does nothing the second time', async () => {
    const scene = await setScene()
    await scene.print({ install: true, ...HOSTS })
    expect(await outcomesOf(scene, 'uninstall')).toEqual([
      `removed etc/docker/certs.d/${KEY}/ca.crt`,
      `removed etc/docker/certs.d/${KEY}`,
      `removed etc/containers/certs.d/${KEY}/ca.crt`,
      `removed etc/containers/certs.d/${KEY}`,
    ])
    expect(existsSync(path.dirname(inDocker(scene)))).toBe(false)
    expect(existsSync(path.join(scene.folder, 'etc/docker/certs.d'))).toBe(true)
    expect(await outcomesOf(scene, 'uninstall')).toEqual([
      `absent etc/docker/certs.d/${KEY}/ca.crt`,
      `absent etc/containers/certs.d/${KEY}/ca.crt`,
    ])
  })

  it('removes several keys, and keeps the others', async () => {
    const scene = await setScene()
    const hosts = ['a:1', 'b:2', 'c:3']
    await scene.print({ install: true, hosts })
    await scene.print({ uninstall: true, hosts: ['a:1', 'b:2'] })
    const left = hosts.map((key) => existsSync(inDocker(scene, 'ca.crt', key)))
    expect(left).toEqual([false, false, true])
  })

  it('keeps another root, and says so', async () => {
    const scene = await setScene()
    put(inDocker(scene), foreign())
    await scene.print({ install: true, ...HOSTS })
    const outcomes = await outcomesOf(scene, 'uninstall')
    expect(outcomes).toContain(`kept etc/docker/certs.d/${KEY}/ca.crt`)
    expect(outcomes).toContain(`removed etc/docker/certs.d/${KEY}/registry-sidecar.crt`)
    expect(readFileSync(inDocker(scene), 'utf8')).toBe(foreign())
  })

  it.each<[what: string, text: (pem: string) => string, outcome: string]>([
    ['an earlier root of a sidecar', () => issueRoot({ now: new Date() }).certPem, 'removed'],
    ['a bundle with the root in it', (pem) => `${foreign()}${pem}`, 'kept'],
    ['a text without a certificate', () => '', 'kept'],
  ])('handles %s', async (_what, text, outcome) => {
    const scene = await setScene()
    put(inDocker(scene), text(scene.root.pem))
    expect(await outcomesOf(scene, 'uninstall')).toContain(`${outcome} etc/docker/certs.d/${KEY}/ca.crt`)
    expect(existsSync(inDocker(scene))).toBe(outcome === 'kept')
  })

  it('keeps a folder with other files', async () => {
    const scene = await setScene()
    await scene.print({ install: true, ...HOSTS })
    writeFileSync(inDocker(scene, 'client.cert'), 'theirs')
    await scene.print({ uninstall: true, ...HOSTS })
    expect([existsSync(inDocker(scene)), existsSync(inDocker(scene, 'client.cert'))]).toEqual([false, true])
  })

  it('removes neither a link nor its target', async () => {
    const scene = await setScene()
    const target = path.join(scene.folder, 'target.crt')
    writeFileSync(target, scene.root.pem)
    mkdirSync(path.dirname(inDocker(scene)), { recursive: true })
    symlinkSync(target, inDocker(scene))
    expect(await outcomesOf(scene, 'uninstall')).toContain(`kept etc/docker/certs.d/${KEY}/ca.crt`)
    expect([existsSync(inDocker(scene)), existsSync(target)]).toEqual([true, true])
  })

  it('recognizes a sidecar root by its name when the state folder is gone', async () => {
    const scene = await setScene()
    await scene.print({ install: true, ...HOSTS })
    const env = { SIDECAR_STATE_DIR: path.join(scene.folder, 'gone') }
    expect(await scene.print({ uninstall: true, ...HOSTS }, env)).toContain('unknown here')
    expect(existsSync(inDocker(scene))).toBe(false)
  })

  it.runIf(isRoot)('prints the command for files that it may not remove, and exits with 1', async () => {
    const scene = await setScene({ isRoot: false })
    put(inDocker(scene), scene.root.pem)
    for (const one of [scene.folder, path.dirname(scene.root.file)]) chmodSync(one, 0o755)
    const { code, text } = await asNobody(() => scene.run({ uninstall: true, ...HOSTS }))
    expect(code).toBe(1)
    const command = /^ {2}sudo (rm -- .*)$/m.exec(text)?.[1] ?? ''
    execFileSync('sh', ['-c', command.replaceAll('sudo ', '')])
    expect(existsSync(path.dirname(inDocker(scene)))).toBe(false)
  })

  it.each(['install', 'pem'])('is refused together with --%s', async (flag) => {
    const { run } = await setScene()
    await expect(run({ uninstall: true, [flag]: true })).rejects.toThrow(ConfigError)
  })
})
