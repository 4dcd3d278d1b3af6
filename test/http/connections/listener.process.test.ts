// Checks handshakes with the TLS listener by openssl's client.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Listener, ListenerOptions } from '../../../src/http/connections/listener.ts'
import { startListener } from '../../fixtures/listener.ts'
import { createAuthority } from '../../fixtures/own-certificate.ts'
import { askByOpenssl, type TlsVersion } from '../../fixtures/session.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const authority = createAuthority()

interface Scene {
  readonly listener: Listener
  /** Runs `openssl s_client` with these arguments; resolves to its output and rejects if the handshake fails. */
  readonly ask: (version: TlsVersion, ...args: readonly string[]) => Promise<string>
}

async function setScene(options: Partial<ListenerOptions> = {}): Promise<Scene> {
  const listener = await startListener({
    certificate: authority.issue(),
    handler: (_, response) => response.end('ok'),
    ...options,
  })
  const folder = tempFolder()
  writeFileSync(path.join(folder, 'root.crt'), authority.rootPem)
  return {
    listener,
    ask: (version, ...args) => askByOpenssl({ port: listener.address.port, folder, version, args }),
  }
}

describe.each(['tls1_2', 'tls1_3'] as const)('a session ticket of %s', (version) => {
  it('saves a handshake', async () => {
    const { ask } = await setScene()
    await ask(version, '-sess_out', 's')
    expect(await ask(version, '-sess_in', 's')).toMatch(/^Reused/m)
  })

  it('does not bring back a certificate that has been replaced', async () => {
    const { listener, ask } = await setScene()
    await ask(version, '-sess_out', 's')
    listener.serve(authority.issue())
    expect(await ask(version, '-sess_in', 's')).not.toMatch(/^Reused/m)
  })

  it('is valid until its keys are replaced', async () => {
    const { ask } = await setScene({ ticketKeysLifeMs: 300 })
    await ask(version, '-sess_out', 's')
    const isGone = async () => !/^Reused/m.test(await ask(version, '-sess_in', 's'))
    await until(isGone, { deadlineMs: 10_000, what: 'the keys are replaced' })
  })
})

describe('a handshake', () => {
  it('uses the first suite of the server’s list that the client supports, not the client’s first', async () => {
    const { ask } = await setScene()
    const suites = [
      '-ciphersuites',
      'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
    ]
    expect(await ask('tls1_3', ...suites)).toMatch(/Cipher is TLS_AES_128_GCM_SHA256/)
    const older = ['-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384']
    expect(await ask('tls1_2', ...older)).toMatch(/Cipher is ECDHE-ECDSA-AES256-GCM-SHA384/)
  })

  it.each<[curve: string, key: RegExp]>([
    ['X25519', /Server Temp Key: X25519/],
    ['P-256', /Server Temp Key: ECDH, prime256v1/],
    ['P-384', /Server Temp Key: ECDH, secp384r1/],
  ])('exchanges keys with %s', async (curve, key) => {
    const { ask } = await setScene()
    expect(await ask('tls1_3', '-groups', curve)).toMatch(key)
  })

  // In TLS 1.3 OpenSSL accepts the key of the first message and does not request a better one.
  it('prefers X25519 in TLS 1.2, whatever the client names first', async () => {
    const { ask } = await setScene()
    expect(await ask('tls1_2', '-groups', 'P-384:P-256:X25519')).toMatch(/Server Temp Key: X25519/)
  })

  it.each(['P-521', 'X448', 'ffdhe2048'])('refuses to exchange keys with %s', async (group) => {
    const { ask } = await setScene()
    await expect(ask('tls1_3', '-groups', group)).rejects.toThrow(/handshake failure/)
  })

  it('compresses nothing', async () => {
    const { ask } = await setScene()
    expect(await ask('tls1_2', '-comp')).toMatch(/^Compression: NONE$/m)
  })

  it('cannot be repeated on one connection', async () => {
    const { listener } = await setScene()
    const { port } = listener.address
    const client = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2'])
    onTestFinished(() => {
      client.kill('SIGKILL')
    })
    let printed = ''
    client.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    client.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    await until(() => printed.includes('Verify return code'), { deadlineMs: 5_000, what: 'the handshake' })
    client.stdin.write('R\n')
    await once(client, 'close')
    expect(printed).toMatch(/RENEGOTIATING\n[^]*no renegotiation/)
  })
})
