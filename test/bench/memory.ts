// Prints the sidecar's memory during a large push and pull.
//
//   npm run bench:memory -- [GIB]        5 GiB by default; needs the real registry's program on the PATH

import { createHash, randomBytes } from 'node:crypto'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ALICE, ALICE_ENTRY } from '../fixtures/sidecar.ts'
import { registryProgram, startRegistry } from '../fixtures/registry.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { residentMib } from './process-tree.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const gibibytes = Number(process.argv[2] ?? 5)
const size = gibibytes * GIB
// A random 1 MiB block with a counter: incompressible and different at every offset, but generated once.
const block = randomBytes(MIB)

function* blob(): Generator<Buffer> {
  for (let i = 0; i < size / MIB; i++) {
    const piece = Buffer.from(block)
    piece.writeUInt32BE(i)
    yield piece
  }
}

if (registryProgram === undefined) throw new Error('no docker-registry or registry on the PATH')
const registry = await startRegistry()
const folder = makeTempFolder()
mkdirSync(path.join(folder, 'users'))
writeFileSync(path.join(folder, 'users/htpasswd'), ALICE_ENTRY)
const main = path.join(import.meta.dirname, '../../dist/main.js')
const sidecar = spawn(process.execPath, [main, '--upstream', `http://127.0.0.1:${registry.port}`], {
  cwd: folder,
  env: { ...process.env, SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const port = await new Promise<number>((resolve) => {
  createInterface({ input: sidecar.stdout }).on('line', (line) => {
    const match = /"tls":"127\.0\.0\.1:(\d+)"/.exec(line)
    if (match !== null) resolve(Number(match[1]))
  })
})
const ca = readFileSync(path.join(folder, 'state/root.crt'))
const options = { host: '127.0.0.1', port, ca, auth: ALICE, agent: new https.Agent({ keepAlive: true, ca }) }

try {
  await call('GET', '/v2/')
  report('before', rss())
  const hash = createHash('sha256')
  for (const piece of blob()) hash.update(piece)
  const digest = `sha256:${hash.digest('hex')}`
  const begun = await call('POST', '/v2/big/blobs/uploads/')
  const pushed = sampled('push', async () => {
    const patched = await upload(pathOf(begun.headers.location))
    await call('PUT', `${pathOf(patched.headers.location)}&digest=${digest}`)
  })
  await pushed
  await sampled('pull', async () => {
    const got = await download(`/v2/big/blobs/${digest}`)
    if (got !== digest) throw new Error('the digest is wrong')
  })
  report('after', rss())
} finally {
  sidecar.kill('SIGTERM')
  options.agent.destroy()
  await registry.stop()
  removeFolder(folder)
}

function rss(): number {
  return residentMib(sidecar.pid ?? 0)
}

function report(when: string, mebibytes: number): void {
  console.log(`${when.padEnd(28)} RSS ${mebibytes.toFixed(0).padStart(4)} MiB`)
}

async function sampled(what: string, transfer: () => Promise<void>): Promise<void> {
  const samples: number[] = []
  const timer = setInterval(() => samples.push(rss()), 250)
  const start = performance.now()
  await transfer()
  clearInterval(timer)
  const seconds = (performance.now() - start) / 1000
  const tenths = Array.from({ length: 10 }, (_, i) => samples[Math.floor((i * samples.length) / 10)] ?? 0)
  console.log(
    `${what}: ${gibibytes} GiB in ${seconds.toFixed(0)} s; RSS at each tenth: ${tenths.map((m) => m.toFixed(0)).join(' ')} MiB`,
  )
  report(`highest during the ${what}`, Math.max(...samples))
}

interface Answer {
  readonly headers: NodeJS.Dict<string | string[]> & { location?: string | undefined }
}

function call(method: string, target: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = https.request({ ...options, method, path: target }, (response) => {
      response.resume()
      const { statusCode = 0, headers } = response
      if (statusCode >= 400) reject(new Error(`${method} ${target}: ${statusCode}`))
      else resolve({ headers })
    })
    request.on('error', reject)
    request.end()
  })
}

async function upload(target: string): Promise<Answer> {
  const request = https.request({ ...options, method: 'PATCH', path: target })
  const answer = new Promise<Answer>((resolve, reject) => {
    request.on('response', (response) => {
      response.resume()
      resolve({ headers: response.headers })
    })
    request.on('error', reject)
  })
  await pipeline(Readable.from(blob()), request)
  return answer
}

function download(target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256')
    const request = https.get({ ...options, path: target }, (response) => {
      response.on('data', (chunk: Buffer) => hash.update(chunk))
      response.on('error', reject)
      response.on('end', () => {
        resolve(`sha256:${hash.digest('hex')}`)
      })
    })
    request.on('error', reject)
  })
}

function pathOf(location: string | undefined): string {
  const url = new URL(location ?? '', `https://127.0.0.1:${port}`)
  return `${url.pathname}${url.search}`
}
