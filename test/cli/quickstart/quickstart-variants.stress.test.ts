// Tests what quickstart does in less usual folders and on less usual machines.

import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { probeRegistry } from '../../../src/upstream/probe/probe.ts'
import { createAuthority, fingerprintOf, fingerprintServed } from '../../fixtures/own-certificate.ts'
import { answering, upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import { registryProgram, startRegistry } from '../../fixtures/registry.ts'
import { until } from '../../fixtures/until.ts'
import {
  canInstall,
  canSearch,
  canUseProgram,
  clientOf,
  isRegistryGone,
  isUsualTaken,
  newcomer,
  push,
  registryPort,
  stop,
} from './newcomer.ts'

describe('quickstart', () => {
  it.skipIf(!canUseProgram)('uses the registry of the settings, and does not stop it', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const running = newcomer().quickstart({ SIDECAR_UPSTREAM: `http://127.0.0.1:${registry.port}` })
    await push(await clientOf(running))
    await stop(running)
    const isThere = async () =>
      (await probeRegistry({ hostname: '127.0.0.1', port: registry.port })).kind === 'answers'
    await until(isThere, { deadlineMs: 5_000, what: 'its answer' })
  })

  it('shows how to add a user when the users file has none', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
    const { folder, quickstart } = newcomer()
    writeFileSync(path.join(folder, 'my users'), '# nobody\n')
    const running = quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_USERS: 'my users',
    })
    expect(await running.line(/No users/)).toContain("user add admin --generate --users 'my users'")
    await running.line(/docker login localhost/)
    await stop(running)
  })

  it('serves the operator’s certificate, and refers clients to its issuer', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
    const { folder, quickstart } = newcomer()
    const authority = createAuthority()
    const pair = authority.issue()
    writeFileSync(path.join(folder, 'tls.crt'), pair.certPem)
    writeFileSync(path.join(folder, 'tls.key'), pair.keyPem, { mode: 0o600 })
    const running = quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_TLS_CERT: 'tls.crt',
      SIDECAR_TLS_KEY: 'tls.key',
    })
    const port = Number(/localhost:(\d+)/.exec(await running.line(/docker login localhost/))?.[1])
    expect(await fingerprintServed(port, authority.rootPem)).toBe(fingerprintOf(pair))
    expect(await running.line(/^1\. /)).toBe(
      '1. Make sure that clients trust tls.crt: node dist/main.js trust',
    )
    await stop(running)
    expect(running.stdout()).not.toContain('Trust the root certificate')
    // No root and no leaf.
    expect(readdirSync(path.join(folder, 'state')).toSorted()).toEqual(['token.key'])
  })

  it.skipIf(!canSearch)('tries the next option when Docker cannot run the image, and says so', async () => {
    const { folder, install, quickstart } = newcomer()
    install(
      'docker',
      '[ "$1" = info ] && echo 29.0.0 && exit; echo "$@" >>docker.log; echo "pull denied" >&2; exit 125',
    )
    install('registry')
    const running = quickstart()
    await push(await clientOf(running))
    await stop(running)
    expect(running.stdout()).toContain('Docker cannot run registry:2: pull denied. Trying the next option.')
    expect(readFileSync(path.join(folder, 'docker.log'), 'utf8')).toMatch(
      /^run -d --rm --name (\S+) -p 127\.0\.0\.1::5000 .* -v \1:\/var\/lib\/registry registry:2\nrm \1\n/m,
    )
  })

  it.skipIf(!canSearch)('tries docker-registry when the program registry is something else', async () => {
    const { install, quickstart } = newcomer()
    install('registry', 'exit 3')
    install('docker-registry')
    const running = quickstart()
    await push(await clientOf(running))
    await stop(running)
    expect(running.stdout()).toMatch(/registry\.log: it exited at once\. Trying the next option/)
  })

  it.skipIf(!canSearch)('uses another port when another program took its port', async () => {
    const { folder, install, quickstart } = newcomer()
    const first = 'if [ ! -e taken ]; then while [ ! -e taken ]; do /bin/sleep 0.05; done; exit 1; fi'
    install('registry', `${first}; exec ${registryProgram ?? ''} "$@"`)
    const running = quickstart()
    const settings = path.join(folder, 'registry-data/registry.yml')
    const isChosen = () => existsSync(settings) && readFileSync(settings, 'utf8').endsWith('}')
    await until(isChosen, { deadlineMs: 10_000, what: 'its port' })
    const port = registryPort(folder)
    const other = net.createServer((socket) => socket.destroy()).listen(port, '127.0.0.1')
    onTestFinished(() => {
      other.close()
    })
    await once(other, 'listening')
    writeFileSync(path.join(folder, 'taken'), '')
    await push(await clientOf(running))
    expect(registryPort(folder)).not.toBe(port)
    await stop(running)
  })

  it.skipIf(!canSearch)('uses the container of an earlier start, and does not stop it', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const { folder, install, quickstart } = newcomer()
    install(
      'docker',
      `echo "$1" >>docker.log; [ "$1" = port ] && echo 127.0.0.1:${registry.port} || echo 29.0.0`,
    )
    const running = quickstart()
    await push(await clientOf(running))
    await stop(running)
    expect(readFileSync(path.join(folder, 'docker.log'), 'utf8')).toBe('info\nport\n')
    expect(running.stdout()).toContain('still running from an earlier start')
  })

  it.skipIf(!canInstall)(
    'installs the package as root on Debian, with new package lists if needed',
    async () => {
      const { folder, install, quickstart } = newcomer()
      const installs = `[ "$1" = install ] && [ -e updated ] && exec /bin/ln -s ${registryProgram ?? ''} bin/docker-registry`
      install(
        'apt-get',
        `echo "$DEBIAN_FRONTEND $*" >>apt.log; ${installs}; [ "$1" = update ] && exec /bin/touch updated; exit 100`,
      )
      const running = quickstart()
      await push(await clientOf(running))
      await stop(running)
      expect(readFileSync(path.join(folder, 'apt.log'), 'utf8').split('\n')).toEqual([
        'noninteractive install -y --no-install-recommends docker-registry',
        'noninteractive update',
        'noninteractive install -y --no-install-recommends docker-registry',
        '',
      ])
    },
  )
})

describe('quickstart ends', () => {
  it('with the reason when the registry of the settings is not a registry', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'))
    const { code, stderr } = await newcomer().quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
    }).finished
    expect(code).toBe(1)
    expect(stderr).toContain('GET /v2/ answers 404')
  })

  it.skipIf(!canSearch)(
    'with the name of the setting when the port is taken, and stops its registry',
    async () => {
      const taken = net.createServer().listen(0, '127.0.0.1')
      onTestFinished(() => {
        taken.close()
      })
      await until(() => taken.listening, { deadlineMs: 5_000, what: 'a port that is taken' })
      const { port } = taken.address() as net.AddressInfo
      const { folder, install, quickstart } = newcomer()
      install('registry')
      const { code, stderr } = await quickstart({ SIDECAR_LISTEN: `127.0.0.1:${port}` }).finished
      expect(code).toBe(1)
      expect(stderr).toContain('SIDECAR_LISTEN')
      expect(await isRegistryGone(folder)).toBe(true)
    },
  )

  it.skipIf(isUsualTaken)('at a signal while Docker pulls the image', async () => {
    const { folder, install, quickstart } = newcomer()
    install(
      'docker',
      '[ "$1" = info ] && echo 29.0.0 && exit; [ "$1" = run ] && echo >pulling && exec /bin/sleep 60; exit 1',
    )
    const running = quickstart()
    await until(() => existsSync(path.join(folder, 'pulling')), { deadlineMs: 10_000, what: 'the pull' })
    running.child.kill('SIGINT')
    const { code, stderr } = await running.finished
    expect(code).toBe(1)
    expect(stderr).toBe('registry-sidecar: stopped by SIGINT\n')
  })
})

describe('a registry that ends while the sidecar runs', () => {
  it.skipIf(!canSearch)('is reported, and the sidecar continues', async () => {
    const { folder, install, quickstart } = newcomer()
    install('registry', `echo $$ >pid; exec ${registryProgram ?? ''} "$@"`)
    const running = quickstart()
    const client = await clientOf(running)
    process.kill(Number(readFileSync(path.join(folder, 'pid'), 'utf8')), 'SIGKILL')
    await until(() => running.stderr().includes('the registry has exited'), {
      deadlineMs: 5_000,
      what: 'the notice',
    })
    expect((await client.send('GET', '/v2/')).status).toBe(502)
    await stop(running)
  })
})
