// Sends as many small authenticated requests as possible.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import tls, { type SecureContext } from 'node:tls'
import { findProgram } from '../fixtures/find-program.ts'
import { runChild } from './children.ts'
import { CIPHERS } from './curl.ts'
import type { Environment } from './environment.ts'
import { authorizationOf, originOf, type Endpoint } from './subject.ts'

const KEPT_CONNECTIONS = 16
const FRESH_CONNECTIONS = 8

/** Makes the kept-alive requests if it exists. */
export const wrkProgram = findProgram('wrk')

export interface Load {
  readonly requests: number
  readonly seconds: number
}

/** Rejects if a status is not 200. */
export async function loadKeptAlive(
  environment: Environment,
  endpoint: Endpoint,
  seconds: number,
): Promise<Load> {
  if (wrkProgram !== undefined) return wrk(environment, endpoint, { program: wrkProgram, seconds })
  const agent = new https.Agent({ keepAlive: true, maxSockets: KEPT_CONNECTIONS, ca: rootOf(environment) })
  try {
    return await repeat({ connections: KEPT_CONNECTIONS, seconds }, () => ask(environment, endpoint, agent))
  } finally {
    agent.destroy()
  }
}

/** Makes a full handshake per request, as dockerd before 29.4. Rejects if a status is not 200. */
export function loadFresh(environment: Environment, endpoint: Endpoint, seconds: number): Promise<Load> {
  const secureContext = tls.createSecureContext({ ca: rootOf(environment), ciphers: CIPHERS })
  return repeat({ connections: FRESH_CONNECTIONS, seconds }, () =>
    askOnce(environment, endpoint, secureContext),
  )
}

async function wrk(
  environment: Environment,
  endpoint: Endpoint,
  { program, seconds }: { readonly program: string; readonly seconds: number },
): Promise<Load> {
  const shape = ['-t1', `-c${KEPT_CONNECTIONS}`, `-d${seconds}s`, '--timeout', '30s']
  const header = ['-H', `Authorization: ${authorizationOf(environment)}`]
  const output = await runChild([program, ...shape, ...header, `${originOf(endpoint)}/v2/`])
  const count = /(\d+) requests in/.exec(output)?.[1]
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]
  if (count === undefined || rate === undefined || /Non-2xx|Socket errors/.test(output))
    throw new Error(`wrk: ${output}`)
  return { requests: Number(count), seconds: Number(count) / Number(rate) }
}

async function repeat(
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
  request: () => Promise<void>,
): Promise<Load> {
  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 1000
  let requests = 0
  const loop = async (): Promise<void> => {
    while (elapsed() < seconds) {
      await request()
      requests++
    }
  }
  await Promise.all(Array.from({ length: connections }, loop))
  return { requests, seconds: elapsed() }
}

async function ask(environment: Environment, endpoint: Endpoint, agent: https.Agent): Promise<void> {
  const headers = { authorization: authorizationOf(environment) }
  const request = https.get(`${originOf(endpoint)}/v2/`, { agent, headers })
  const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { statusCode?: number }]
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`a small request: ${response.statusCode ?? 'nothing'}`)
}

function askOnce(environment: Environment, { port }: Endpoint, secureContext: SecureContext): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, secureContext, minVersion: 'TLSv1.3' })
    socket.write(
      `GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: ${authorizationOf(environment)}\r\nConnection: close\r\n\r\n`,
    )
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    socket.on('error', reject)
    socket.on('close', () => {
      if (answer.startsWith('HTTP/1.1 200 ')) resolve()
      else reject(new Error(`a small request on a new connection: ${answer.slice(0, 200)}`))
    })
  })
}

function rootOf({ identity }: Environment): string {
  return readFileSync(identity.root, 'utf8')
}
