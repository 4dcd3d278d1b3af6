import { once } from 'node:events'
import net from 'node:net'
import { expect, it } from 'vitest'
import { createRequestParts } from '../../src/app/request-parts.ts'
import { createStatus } from '../../src/app/status/status.ts'
import { openTlsListener } from '../../src/app/tls-listener.ts'
import { createBcryptPool } from '../../src/auth/bcrypt-pool.ts'
import type { CertificateInForce } from '../../src/certificates/certificate-in-force.ts'
import { createActivity } from '../../src/observability/activity/activity.ts'
import { parseBundle } from '../../src/pki/certificate.ts'
import { parseConfig } from '../../src/settings/config.ts'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import type { Users } from '../../src/users/users.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { openWriteFreeze } from '../../src/freeze/write-freeze.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const loads = { changed: 0, unchanged: 0, failed: 0, lastGoodAt: undefined }

const users: Users = {
  file: 'users',
  table: parseHtpasswd(Buffer.alloc(0), 'users'),
  isLoaded: true,
  state: { kind: 'fresh' },
  loads,
  reload: () => Promise.resolve(),
  close: () => Promise.resolve(),
}

/** A certificate that OpenSSL rejects after it changed; it changes while the address is being bound. */
function certificateThatBreaks(): CertificateInForce {
  const { certPem, keyPem } = createAuthority().issue()
  const good = parseBundle(certPem, keyPem, { certFile: 'cert', keyFile: 'key', now: new Date() })
  let current = good
  return {
    origin: 'own',
    get current() {
      return current
    },
    state: { kind: 'fresh' },
    loads,
    counts: { renewed: 0, failed: 0 },
    root: undefined,
    onChange: () => {
      current = { ...good, certPem: 'nonsense' }
    },
    reload: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

async function bindAndClose(port: number): Promise<number> {
  const server = net.createServer().listen({ port, host: '127.0.0.1' })
  await once(server, 'listening')
  const address = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return address.port
}

it('a start that fails after the address was bound leaves the address free', async () => {
  const port = await bindAndClose(0)
  const config = parseConfig({
    env: { SIDECAR_UPSTREAM: 'http://127.0.0.1:1', SIDECAR_LISTEN: `127.0.0.1:${port}` },
  })
  const { log } = recordedLog()
  const tokenKey = Buffer.alloc(32)
  const options = {
    log,
    users,
    rules: undefined,
    tokenKey,
    affordable: Infinity,
    now: Date.now,
    bcryptPool: createBcryptPool,
  }
  const writeFreeze = await openWriteFreeze({ stateDir: tempFolder(), pollMs: 'off', log })
  const parts = {
    ...createRequestParts(config, options),
    users,
    certificate: certificateThatBreaks(),
    writeFreeze,
    activity: createActivity(),
    publicReason: String,
  }
  const status = createStatus(parts, { log, clock: () => 0 })
  const opened = openTlsListener(
    config,
    {
      ...parts,
      clientCa: undefined,
      rules: undefined,
      auditStream: undefined,
      ...status.view,
    },
    log,
  )

  await expect(opened).rejects.toThrow(/PEM/)

  expect(await bindAndClose(port)).toBe(port)
  status.close()
  await parts.pool.close()
})
