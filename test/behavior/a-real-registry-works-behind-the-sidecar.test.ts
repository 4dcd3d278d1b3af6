import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import {
  ALICE,
  startSidecar,
  type TestRequest,
  type TestResponse,
  type TestSidecar,
} from '../fixtures/sidecar.ts'

const isMissing = registryProgram === undefined

describe.skipIf(isMissing).each(['port', 'socket'] as const)(
  'a real registry on a %s behind the sidecar',
  (on) => {
    let registry: Registry
    let sidecar: TestSidecar

    beforeAll(async () => {
      registry = await startRegistry({ on })
      sidecar = await startSidecar({ env: { SIDECAR_UPSTREAM: registry.upstream, SIDECAR_HOSTS: 'proxy' } })
    })
    afterAll(async () => {
      await sidecar.stop()
      await registry.stop()
    })

    const asAlice = (options: TestRequest): Promise<TestResponse> =>
      sidecar.request({ as: ALICE, ...options })

    /** Returns the path of a Location, which must name the sidecar. */
    function pathOf(location: string | undefined): string {
      const url = new URL(location ?? '', `https://127.0.0.1:${sidecar.port}`)
      expect(url.origin).toBe(`https://127.0.0.1:${sidecar.port}`)
      return `${url.pathname}${url.search}`
    }

    const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

    async function pushBlob(
      repository: string,
      blob: Buffer,
      headers: Record<string, string>,
    ): Promise<string> {
      const begun = await asAlice({ method: 'POST', path: `/v2/${repository}/blobs/uploads/` })
      expect(begun.status).toBe(202)
      const path = pathOf(begun.headers.location)
      const sent = await asAlice({ method: 'PATCH', path, body: blob, headers })
      expect(sent.status).toBe(202)
      expect(sent.headers.range).toBe(`0-${blob.length - 1}`)
      const digest = digestOf(blob)
      const last = pathOf(sent.headers.location)
      const done = await asAlice({ method: 'PUT', path: `${last}&digest=${encodeURIComponent(digest)}` })
      expect(done.status).toBe(201)
      return digest
    }

    it.each([
      ['chunked, as docker sends it', (): Record<string, string> => ({ 'Transfer-Encoding': 'chunked' })],
      [
        'with its length',
        (blob: Buffer): Record<string, string> => ({ 'Content-Length': String(blob.length) }),
      ],
    ])('stores a blob %s and returns the same bytes', async (_how, headersFor) => {
      const blob = randomBytes(3_000_001)
      const headers = { 'Content-Type': 'application/octet-stream', ...headersFor(blob) }
      const digest = await pushBlob('team/app', blob, headers)
      const pulled = await asAlice({ path: `/v2/team/app/blobs/${digest}` })
      expect(pulled.status).toBe(200)
      expect(digestOf(pulled.body)).toBe(digest)
      const head = await asAlice({ method: 'HEAD', path: `/v2/team/app/blobs/${digest}` })
      expect(head.headers['content-length']).toBe(String(blob.length))
      expect(head.headers['docker-content-digest']).toBe(digest)
    })

    it('stores a blob by POST and PUT with a length, as containerd sends it', async () => {
      const blob = randomBytes(1_000_000)
      const begun = await asAlice({ method: 'POST', path: '/v2/team/app/blobs/uploads/' })
      const path = `${pathOf(begun.headers.location)}&digest=${digestOf(blob)}`
      const done = await asAlice({
        method: 'PUT',
        path,
        body: blob,
        headers: { 'Content-Length': String(blob.length), 'Content-Type': 'application/octet-stream' },
      })
      expect(done.status).toBe(201)
    })

    it('serves ranges, mounts, manifests, tags, catalog and deletes', async () => {
      const config = Buffer.from('{}')
      const layer = randomBytes(50_000)
      const configDigest = await pushBlob('one', config, {})
      const layerDigest = await pushBlob('one', layer, {})

      const part = await asAlice({
        path: `/v2/one/blobs/${layerDigest}`,
        headers: { Range: 'bytes=100-199' },
      })
      expect(part.status).toBe(206)
      expect(part.body.equals(layer.subarray(100, 200))).toBe(true)

      const mounted = await asAlice({
        method: 'POST',
        path: `/v2/two/blobs/uploads/?mount=${layerDigest}&from=one`,
      })
      expect(mounted.status).toBe(201)

      const type = 'application/vnd.docker.distribution.manifest.v2+json'
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: type,
        config: {
          mediaType: 'application/vnd.docker.container.image.v1+json',
          size: 2,
          digest: configDigest,
        },
        layers: [
          {
            mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
            size: 50_000,
            digest: layerDigest,
          },
        ],
      })
      const put = await asAlice({
        method: 'PUT',
        path: '/v2/one/manifests/v1.0',
        body: manifest,
        headers: { 'Content-Type': type },
      })
      expect(put.status).toBe(201)
      const got = await asAlice({ path: '/v2/one/manifests/v1.0', headers: { Accept: type } })
      expect(got.body.toString()).toBe(manifest)

      expect((await asAlice({ path: '/v2/one/tags/list' })).body.toString()).toContain('"v1.0"')
      expect((await asAlice({ path: '/v2/_catalog?n=10' })).body.toString()).toContain('"one"')

      const digest = String(put.headers['docker-content-digest'])
      const deleted = await asAlice({ method: 'DELETE', path: `/v2/one/manifests/${digest}` })
      expect(deleted.status).toBe(202)
      expect((await asAlice({ path: '/v2/one/manifests/v1.0', headers: { Accept: type } })).status).toBe(404)
    })

    it('cancels an upload with DELETE', async () => {
      const begun = await asAlice({ method: 'POST', path: '/v2/team/app/blobs/uploads/' })
      const cancelled = await asAlice({ method: 'DELETE', path: pathOf(begun.headers.location) })
      expect(cancelled.status).toBe(204)
    })

    it('returns Locations with the name that the client used, also with port 443', async () => {
      const begun = await asAlice({
        method: 'POST',
        path: '/v2/team/app/blobs/uploads/',
        headers: { Host: 'proxy:443' },
      })
      expect(begun.headers.location).toMatch(/^https:\/\/proxy:443\/v2\/team\/app\/blobs\/uploads\//)
    })
  },
)
