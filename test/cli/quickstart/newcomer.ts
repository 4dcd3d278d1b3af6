// Runs quickstart in a new folder. Each test sets PATH, so that the machine's programs do not matter.

import { randomBytes, createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { expect } from 'vitest'
import { probeRegistry } from '../../../src/upstream/probe/probe.ts'
import { isRealRequired } from '../../fixtures/find-program.ts'
import { start, type Running } from '../../fixtures/process.ts'
import { registryProgram } from '../../fixtures/registry.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

export const isUsualTaken = (await probeRegistry({ hostname: '127.0.0.1', port: 5000 })).kind === 'answers'
if (isUsualTaken && isRealRequired())
  throw new Error('REQUIRE_REAL=1, but a registry on 127.0.0.1:5000 is in the way')

export const canUseProgram = registryProgram !== undefined
export const canSearch = canUseProgram && !isUsualTaken
export const canInstall = canSearch && process.getuid?.() === 0 && existsSync('/etc/debian_version')

export interface Folder {
  readonly folder: string
  /** Puts the real registry on the PATH, or a program with this shell script. */
  readonly install: (name: string, script?: string) => void
  readonly quickstart: (env?: Readonly<Record<string, string>>) => Running
}

export function newcomer(): Folder {
  const folder = tempFolder()
  const bin = path.join(folder, 'bin')
  mkdirSync(bin)
  return {
    folder,
    install: (name, script) => {
      if (script === undefined) symlinkSync(registryProgram ?? '', path.join(bin, name))
      else writeFileSync(path.join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    },
    quickstart: (env) =>
      start(['quickstart'], {
        cwd: folder,
        env: { PATH: bin, SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off', ...env },
      }),
  }
}

/** Creates a client of a ready quickstart that trusts its root. */
export async function clientOf(running: Running, password?: string): Promise<Client> {
  const port = Number(/localhost:(\d+)/.exec(await running.line(/docker login localhost/))?.[1])
  const ca = readFileSync(/root certificate (.*)/.exec(await running.line(/root certificate/))?.[1] ?? '')
  const secret = password ?? (await running.line(/^password: /)).replace('password: ', '')
  const send: Client['send'] = (method, target, body) =>
    new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port,
        ca,
        method,
        path: target,
        auth: `admin:${secret}`,
        agent: false,
      }
      const request = https.request(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const { statusCode: status = 0, headers } = response
          resolve({ status, location: headers.location ?? '', body: Buffer.concat(chunks) })
        })
      })
      request.on('error', reject)
      request.end(body)
    })
  return { password: secret, send }
}

export interface Client {
  readonly password: string
  readonly send: (
    method: string,
    target: string,
    body?: Buffer,
  ) => Promise<{ readonly status: number; readonly location: string; readonly body: Buffer }>
}

export const BLOB = randomBytes(100_000)
const DIGEST = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`
export const BLOB_PATH = `/v2/hello/blobs/${DIGEST}`

export async function push({ send }: Client): Promise<void> {
  const { status, location } = await send('POST', '/v2/hello/blobs/uploads/')
  expect(status).toBe(202)
  const { pathname, search } = new URL(location)
  expect((await send('PUT', `${pathname}${search}&digest=${DIGEST}`, BLOB)).status).toBe(201)
}

export async function stop(running: Running): Promise<void> {
  running.child.kill('SIGTERM')
  expect(await running.finished).toMatchObject({ code: 0, signal: null })
}

/** The port of the registry that a quickstart started. */
export function registryPort(folder: string): number {
  return Number(
    /127\.0\.0\.1:(\d+)/.exec(readFileSync(path.join(folder, 'registry-data/registry.yml'), 'utf8'))?.[1],
  )
}

export async function isRegistryGone(folder: string): Promise<boolean> {
  return (await probeRegistry({ hostname: '127.0.0.1', port: registryPort(folder) })).kind === 'unreachable'
}
