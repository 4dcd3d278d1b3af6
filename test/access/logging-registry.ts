// A real registry that says in its log how it read each request.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { registryProgram } from '../fixtures/registry.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

/** What the registry's router took out of a path. */
export interface Reading {
  readonly name?: string
  readonly reference?: string
  readonly digest?: string
  readonly uuid?: string
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface SentRequest {
  readonly method: string
  readonly target: string
  readonly body?: Buffer | string
  readonly headers?: Readonly<Record<string, string>>
}

export interface LoggingRegistry {
  readonly port: number
  /** How the registry read the last request with this User-Agent. Wait for `readings` first. */
  readonly readingOf: (agent: string) => Reading | undefined
  /** Sends the target byte for byte. */
  readonly send: (sent: SentRequest) => Promise<Answer>
  /** How the registry read the requests that were sent, in their order; undefined where no route matched. */
  readonly readings: () => Promise<readonly (Reading | undefined)[]>
  readonly stop: () => Promise<void>
}

const VARIABLES = ['name', 'reference', 'digest', 'uuid'] as const

export async function startLoggingRegistry(): Promise<LoggingRegistry> {
  const folder = makeTempFolder()
  const config = path.join(folder, 'config.json')
  writeFileSync(
    config,
    JSON.stringify({
      version: '0.1',
      log: { level: 'debug', formatter: 'json', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: path.join(folder, 'data') }, delete: { enabled: true } },
      http: { addr: '127.0.0.1:0', secret: 'test' },
    }),
  )
  const child = spawn(registryProgram ?? '', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const byAgent = new Map<string, Reading>()
  let port = 0
  createInterface({ input: child.stderr }).on('line', (line) => {
    port ||= Number(/listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? 0)
    const entry = JSON.parse(line) as Readonly<Record<string, unknown>>
    const agent = entry['http.request.useragent']
    if (typeof agent === 'string' && typeof entry['vars.name'] === 'string')
      byAgent.set(agent, readingOf(entry))
  })
  await until(() => port > 0, { deadlineMs: 20_000, what: 'the registry' })

  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let sent = 0
  const send = async ({ method, target, body, headers }: SentRequest): Promise<Answer> => {
    sent += 1
    const options = {
      agent,
      port,
      method,
      path: target,
      headers: { ...headers, 'user-agent': `case-${sent}` },
    }
    const outgoing = request(options)
    outgoing.end(body)
    const [incoming] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage]
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: await text(incoming) }
  }
  return {
    port,
    readingOf: (name) => byAgent.get(name),
    send,
    readings: async () => {
      const count = sent
      // The log has the requests in order: after the last one is there, nothing about earlier ones follows.
      await send({ method: 'GET', target: '/v2/the/end/tags/list' })
      await until(() => byAgent.has(`case-${sent}`), { deadlineMs: 10_000, what: 'the log' })
      return Array.from({ length: count }, (_, i) => byAgent.get(`case-${i + 1}`))
    },
    stop: async () => {
      agent.destroy()
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      removeFolder(folder)
    },
  }
}

function readingOf(entry: Readonly<Record<string, unknown>>): Reading {
  return Object.fromEntries(
    VARIABLES.flatMap((name) => {
      const value = entry[`vars.${name}`]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}
