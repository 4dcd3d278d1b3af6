// Pulls parts of a layer with one request.
//
// podman requests up to 1,024 parts of a zstd:chunked layer at once.

import http from 'node:http'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { ALICE, startSidecar, type TestResponse, type TestSidecar } from '../fixtures/sidecar.ts'

const GB = 1_000_000_000
const HEX = 'c0'.repeat(32)
const BLOB = `/v2/team/app/blobs/sha256:${HEX}`

/** Formats ranges of ten bytes each, at large offsets. */
function rangesOf(count: number): string {
  const parts = Array.from({ length: count }, (_, i) => `${10 * GB + 100 * i}-${10 * GB + 100 * i + 9}`)
  return `bytes=${parts.join(', ')}`
}

/** Writes a sparse blob of 11 GB. */
function putSparseBlob(data: string): void {
  const root = path.join(data, 'docker/registry/v2')
  const blob = path.join(root, 'blobs/sha256', HEX.slice(0, 2), HEX)
  const link = path.join(root, 'repositories/team/app/_layers/sha256', HEX)
  for (const folder of [blob, link]) mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(blob, 'data'), '')
  truncateSync(path.join(blob, 'data'), 11 * GB)
  writeFileSync(path.join(link, 'link'), `sha256:${HEX}`)
}

function askDirectly(
  port: number,
  range: string,
): Promise<Pick<TestResponse, 'status' | 'headers' | 'body'>> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path: BLOB, headers: { range }, agent: false }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const { statusCode: status = 0, headers } = response
          resolve({ status, headers, body: Buffer.concat(chunks) })
        })
      })
      .on('error', reject)
  })
}

/** An answer without the random multipart boundary. */
function contentOf({ status, headers, body }: Pick<TestResponse, 'status' | 'headers' | 'body'>) {
  const boundary = /boundary=(\w+)/.exec(headers['content-type'] ?? '')?.[1] ?? '-'
  const { 'content-length': length, 'docker-content-digest': digest } = headers
  return { status, length, digest, body: body.toString('latin1').replaceAll(boundary, 'boundary') }
}

describe.skipIf(registryProgram === undefined)('a partial pull', () => {
  let registry: Registry
  let sidecar: TestSidecar

  beforeAll(async () => {
    registry = await startRegistry()
    putSparseBlob(registry.data)
    sidecar = await startSidecar({ upstreamPort: registry.port })
  })
  afterAll(async () => {
    await sidecar.stop()
    await registry.stop()
  })

  it.each([1, 500, 550, 1_024])('of %i ranges gets the answer of the registry', async (count) => {
    const range = rangesOf(count)
    const direct = await askDirectly(registry.port, range)
    const answer = await sidecar.request({ as: ALICE, path: BLOB, headers: { range } })
    expect(direct.status).toBe(206)
    expect(contentOf(answer)).toEqual(contentOf(direct))
  })

  it.each([1_025, 1_800])('of %i ranges gets 400, after which clients merge them', async (count) => {
    const answer = await sidecar.request({ as: ALICE, path: BLOB, headers: { range: rangesOf(count) } })
    expect(answer.status).toBe(400)
    expect(answer.body.toString()).toContain('more than 1024 ranges; merge some or send several requests')
  })
})
