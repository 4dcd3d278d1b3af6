// Measures the delay of the first byte compared with the registry.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Measure, Setting } from '../measure.ts'
import { median } from '../statistics.ts'
import { authorizationOf, originOf, type Endpoint } from '../subject.ts'

const WARM_UP = 5
const PAIRS = 40

export const firstByte: Measure = {
  name: 'ttfb',
  title: 'First byte',
  figures: [{ key: 'added', label: 'ms later than the bare registry', digits: 2, better: 'lower' }],
  run: async (subject, setting) => {
    const through = createClient(subject, setting)
    const bare = createClient(setting.bareRegistry, setting)
    const addedMs: number[] = []
    try {
      for (let i = 0; i < WARM_UP + PAIRS; i++) addedMs.push(await difference(through, bare))
    } finally {
      through.close()
      bare.close()
    }
    return { added: median(addedMs.slice(WARM_UP)) }
  },
}

/** Alternates the two, so that other load on the machine affects both. */
async function difference(through: Client, bare: Client): Promise<number> {
  const later = await through.firstByteMs()
  return later - (await bare.firstByteMs())
}

interface Client {
  /** Pulls the small blob over one kept-alive connection. Rejects if its digest is wrong. */
  firstByteMs(): Promise<number>
  close(): void
}

function createClient(endpoint: Endpoint, { environment, blobs }: Setting): Client {
  const url = `${originOf(endpoint)}/v2/bench/blobs/${blobs.small.digest}`
  const kept = { keepAlive: true, maxSockets: 1 }
  const agent = endpoint.isGuarded
    ? new https.Agent({ ...kept, ca: readFileSync(environment.identity.root) })
    : new http.Agent(kept)
  const get = endpoint.isGuarded ? https.get : http.get
  const headers = endpoint.isGuarded ? { authorization: authorizationOf(environment) } : {}
  return {
    firstByteMs: async () => {
      const start = performance.now()
      const [response] = (await once(get(url, { agent, headers }), 'response')) as [IncomingMessage]
      const hash = createHash('sha256')
      let firstAt = 0
      response.on('data', (chunk: Buffer) => {
        if (firstAt === 0) firstAt = performance.now()
        hash.update(chunk)
      })
      await once(response, 'end')
      const digest = `sha256:${hash.digest('hex')}`
      if (digest !== blobs.small.digest)
        throw new Error(`a small blob: ${response.statusCode ?? 0}, ${digest}`)
      return firstAt - start
    },
    close: () => {
      agent.destroy()
    },
  }
}
