// Renews the leaf many times while transfers run.
//
// New connections see each renewal, and each transfer moves bytes between two renewals.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { renewLeaf } from '../../src/certificates/state-folder/keystore.ts'
import { fingerprintServed } from '../fixtures/own-certificate.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

// Containers that other tests start give this machine further addresses, for which the sidecar would renew by itself.
vi.mock(import('../../src/certificates/names/machine-names.ts'), async (importOriginal) => {
  const original = await importOriginal()
  const facts = original.readMachineFacts()
  return { ...original, readMachineFacts: () => facts }
})

const RENEWALS = repetitions({ usual: 12, stress: 100 })
const PULLS = 25
const PUSHES = 25
// Together larger than the minimum size for splicing.
const PART_BYTES = Math.ceil((1_200 * 1024) / RENEWALS)
const FIRST_PART = randomBytes(PART_BYTES)
const PARTS = Array.from({ length: RENEWALS + 1 }, () => randomBytes(PART_BYTES))
const BLOB = Buffer.concat([FIRST_PART, ...PARTS])
const DIGEST = digestOf(BLOB)

it(
  `${RENEWALS} renewals lose none of ${PULLS} pulls and ${PUSHES} pushes that run through all of them`,
  { timeout: 300_000 },
  async () => {
    const registry = await registryInSteps()
    const sidecar = await sidecarForTest({
      upstreamPort: registry.port,
      env: { SIDECAR_WATCH_POLL: 'off' },
    })
    const pulls = await Promise.all(Array.from({ length: PULLS }, (_, index) => startPull(sidecar, index)))
    const pushes = Array.from({ length: PUSHES }, (_, index) => startPush(sidecar, index))
    await until(() => registry.pushing() === PUSHES, { deadlineMs: 30_000, what: 'all pushes' })

    const served = [await fingerprintServed(sidecar.port, sidecar.root.pem)]
    for (const part of PARTS.slice(0, RENEWALS)) {
      registry.send(part)
      for (const push of pushes) push.send(part)
      await renew(sidecar)
      served.push(await fingerprintServed(sidecar.port, sidecar.root.pem))
    }
    expect(new Set(served).size).toBe(RENEWALS + 1)
    expect([...pulls, ...pushes].filter((transfer) => transfer.isOver())).toEqual([])

    registry.send(PARTS.at(-1))
    for (const push of pushes) push.send(PARTS.at(-1))
    const digests = await Promise.all([...pulls, ...pushes].map((transfer) => transfer.digest))
    expect(digests).toEqual(Array.from({ length: PULLS + PUSHES }, () => DIGEST))
    expect(sidecar.lines.filter(({ level }) => level === 50)).toEqual([])
  },
)

/** Issues a leaf and reloads as SIGHUP does, because file events may combine several renewals. */
async function renew(sidecar: TestSidecar): Promise<void> {
  const folder = path.join(sidecar.folder, 'state')
  const { leaf } = await renewLeaf({ folder, names: () => [], now: new Date() })
  await sidecar.reload()
  expect(sidecar.certificate.current.leaf.fingerprint).toBe(leaf.fingerprint)
}

interface Transfer {
  /** Digest of the bytes that arrived. */
  readonly digest: Promise<string>
  readonly isOver: () => boolean
}

async function startPull(sidecar: TestSidecar, index: number): Promise<Transfer> {
  const request = https.get(requestOptions(sidecar, index))
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return transferOf(digestOfAll(response))
}

function startPush(sidecar: TestSidecar, index: number): Transfer & { send(part: Buffer | undefined): void } {
  let left = BLOB.length - FIRST_PART.length
  const request = https.request({
    ...requestOptions(sidecar, index),
    method: 'PUT',
    headers: { 'content-length': BLOB.length },
  })
  request.write(FIRST_PART)
  const answer = once(request, 'response').then(async ([response]) => {
    let digest = ''
    for await (const chunk of response as IncomingMessage) digest += String(chunk)
    return digest
  })
  return {
    ...transferOf(answer),
    send(part = Buffer.alloc(0)) {
      left -= part.length
      request.write(part)
      if (left === 0) request.end()
    },
  }
}

// Both TLS versions, because they resume sessions in different ways.
function requestOptions({ port, root }: TestSidecar, index: number) {
  const maxVersion = index % 2 === 0 ? ('TLSv1.2' as const) : ('TLSv1.3' as const)
  const where = { host: '127.0.0.1', port, path: `/v2/app/blobs/${DIGEST}` }
  return { ...where, ca: root.pem, auth: ALICE, agent: false, maxVersion }
}

function transferOf(digest: Promise<string>): Transfer {
  let isOver = false
  const done = digest.finally(() => {
    isOver = true
  })
  return { digest: done, isOver: () => isOver }
}

interface RegistryInSteps {
  readonly port: number
  readonly pushing: () => number
  /** Sends bytes to every pull. */
  send(part: Buffer | undefined): void
}

/** Starts a registry that sends bytes to pulls on demand and answers a push with its digest. */
async function registryInSteps(): Promise<RegistryInSteps> {
  const pulls: ServerResponse[] = []
  let pushing = 0
  const server = http.createServer((request, response) => {
    if (request.method === 'PUT') {
      pushing++
      void digestOfAll(request).then((digest) => response.end(digest))
      return
    }
    response.writeHead(200, { 'content-length': BLOB.length })
    // The sidecar forwards a head together with the first bytes of the body.
    response.write(FIRST_PART)
    pulls.push(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return {
    port: (server.address() as AddressInfo).port,
    pushing: () => pushing,
    send(part = Buffer.alloc(0)) {
      for (const pull of pulls) pull.write(part)
    },
  }
}

async function digestOfAll(stream: IncomingMessage): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
