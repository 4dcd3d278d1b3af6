import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { commandsOf, setScene } from '../../fixtures/trust-scene.ts'

it('trust prints commands that work in a shell, for any path and host', async () => {
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
