import { X509Certificate } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import tls, { type ConnectionOptions } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'

let sidecar: TestSidecar

beforeAll(async () => {
  sidecar = await startSidecar({ env: { SIDECAR_HOSTS: 'proxy, *.lab.example, 10.1.2.3, 2001:db8::1' } })
})
afterAll(() => sidecar.stop())

/** Makes a verified handshake. Resolves to the closed connection or rejects with the handshake's error. */
function handshake(options: ConnectionOptions): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const ca = sidecar.root.pem
    const socket = tls.connect({ host: '127.0.0.1', port: sidecar.port, ca, ...options }, () => {
      socket.end()
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

describe('the TLS listener', () => {
  it.each(['localhost', 'proxy', 'a.lab.example'])('is accepted as %s', async (servername) => {
    expect((await handshake({ servername })).authorized).toBe(true)
  })

  it.each(['127.0.0.1', '10.1.2.3', '2001:db8::1', '::1'])(
    'has a certificate with the address %s',
    async (address) => {
      const peer = (await handshake({})).getPeerX509Certificate()
      expect(peer?.checkIP(address)).toBe(address)
    },
  )

  it.each(['other', 'lab.example', 'a.b.lab.example'])('is not accepted as %s', async (servername) => {
    await expect(handshake({ servername })).rejects.toThrow(/altnames/)
  })

  it('is not trusted without its root', async () => {
    const { rootCertificates } = tls
    await expect(handshake({ ca: [...rootCertificates] })).rejects.toThrow(/certificate/)
  })

  it('speaks TLS 1.2 and 1.3 with forward secrecy and AEAD', async () => {
    expect((await handshake({ maxVersion: 'TLSv1.3' })).getProtocol()).toBe('TLSv1.3')
    const old = await handshake({ maxVersion: 'TLSv1.2' })
    expect(old.getProtocol()).toBe('TLSv1.2')
    expect(old.getCipher().name).toMatch(/^ECDHE-ECDSA-.*(GCM|CHACHA20)/)
  })

  it.each<[what: string, options: ConnectionOptions]>([
    ['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }],
    ['HTTP/2 alone', { ALPNProtocols: ['h2'] }],
  ])('refuses %s', async (_what, options) => {
    await expect(handshake(options)).rejects.toThrow()
  })

  it('chooses HTTP/1.1 with a client that offers both', async () => {
    expect((await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol).toBe('http/1.1')
  })

  it('sends the chain', async () => {
    const peer = (await handshake({})).getPeerCertificate(true)
    expect(peer.issuerCertificate.fingerprint256).toBe(sidecar.root.fingerprint)
  })

  it('answers plain HTTP with a sentence about HTTPS', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      http
        .get({ host: '127.0.0.1', port: sidecar.port, path: '/v2/', agent: false }, (response) => {
          let text = `${response.statusCode ?? 0} `
          response.on('data', (chunk: Buffer) => (text += chunk.toString()))
          response.on('end', () => {
            resolve(text)
          })
        })
        .on('error', reject)
    })
    expect(answer).toMatch(/^400 .*this port expects HTTPS/)
  })

  it('serves its root without a login', async () => {
    const { status, headers, body } = await sidecar.request({ path: '/-/ca.crt' })
    expect([status, headers['content-type']]).toEqual([200, 'application/x-pem-file'])
    expect(new X509Certificate(body).fingerprint256).toBe(sidecar.root.fingerprint)
    expect(body.toString()).not.toContain('PRIVATE')
  })

  it('keeps an idle connection longer than any client does', async () => {
    const agent = new https.Agent({ keepAlive: true })
    const { headers } = await sidecar.request({ agent, path: '/v2/' })
    agent.destroy()
    expect(headers['keep-alive']).toBe('timeout=180')
  })
})
