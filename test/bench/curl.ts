// Pulls and pushes with curl, as dockerd does.
//
// HTTP/1.1, no Expect, and Go's cipher order, with which servers without a preference choose AES-128.

import { runChild } from './children.ts'
import type { Blob, Environment } from './environment.ts'
import { originOf, type Endpoint } from './subject.ts'

export const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'

const REPORT = '\\n%{http_code} %{time_total} %{size_download}\\n'

export interface Transfer {
  readonly status: number
  readonly seconds: number
  readonly bytes: number
}

/** The status of `GET /v2/` with the user's credentials. */
export async function statusOf(environment: Environment, endpoint: Endpoint): Promise<number> {
  const output = await curl(environment, endpoint, ['-o', '/dev/null', `${originOf(endpoint)}/v2/`])
  return parseTransfer(output).status
}

/** Pulls and discards a blob. Rejects if bytes are missing. */
export async function pull(environment: Environment, endpoint: Endpoint, blob: Blob): Promise<Transfer> {
  const [transfer] = await pullAtOnce(environment, endpoint, { blob, count: 1 })
  if (transfer === undefined) throw new Error('curl reports no transfer')
  return transfer
}

export interface Pulls {
  readonly blob: Blob
  readonly count: number
}

/** Pulls over `count` connections in parallel. Rejects if bytes are missing. */
export async function pullAtOnce(
  environment: Environment,
  endpoint: Endpoint,
  pulls: Pulls,
): Promise<readonly Transfer[]> {
  const { blob, count } = pulls
  const url = urlOf(endpoint, blob)
  const targets = Array.from({ length: count }, () => ['-o', '/dev/null', url]).flat()
  const parallel = count === 1 ? [] : ['-Z', '--parallel-immediate', '--parallel-max', String(count)]
  const output = await curl(environment, endpoint, [...parallel, ...targets])
  const transfers = output
    .split('\n')
    .filter((line) => line !== '')
    .map(parseTransfer)
  if (transfers.length !== count) throw new Error(`${count} pulls, ${transfers.length} answers`)
  for (const { status, bytes } of transfers)
    if (status !== 200 || bytes !== blob.bytes) throw new Error(`a pull: ${status}, ${bytes} bytes`)
  return transfers
}

/** Pulls in parallel and compares each digest. Do not time it because hashing costs more than the transfer. */
export async function verifyPulls(
  environment: Environment,
  endpoint: Endpoint,
  { blob, count }: Pulls,
): Promise<void> {
  const args = [...commonArgs(environment, endpoint), urlOf(endpoint, blob)]
  const run = (): Promise<string> => runChild(['sh', '-c', 'curl "$@" | sha256sum', 'sh', ...args])
  const digests = await Promise.all(Array.from({ length: count }, run))
  const wrong = digests.filter((line) => `sha256:${line.split(' ')[0] ?? ''}` !== blob.digest)
  if (wrong.length > 0) throw new Error(`${wrong.length} of ${count} pulls have a wrong digest`)
}

/** Pushes as dockerd does (POST, chunked PATCH, PUT). Resolves to the seconds of all three requests. */
export async function push(
  environment: Environment,
  endpoint: Endpoint,
  { repository, blob }: { readonly repository: string; readonly blob: Blob },
): Promise<number> {
  const begun = await step(environment, endpoint, [
    '-X',
    'POST',
    `${originOf(endpoint)}/v2/${repository}/blobs/uploads/`,
  ])
  const patch = ['-X', 'PATCH', '-T', blob.file, '-H', 'Transfer-Encoding: chunked']
  const sent = await step(environment, endpoint, [
    ...patch,
    '-H',
    'Content-Type: application/octet-stream',
    begun.location,
  ])
  const put = await step(environment, endpoint, ['-X', 'PUT', `${sent.location}&digest=${blob.digest}`])
  if (put.status !== 201) throw new Error(`the push ends with ${put.status}`)
  return begun.seconds + sent.seconds + put.seconds
}

interface Step extends Transfer {
  readonly location: string
}

async function step(environment: Environment, endpoint: Endpoint, args: readonly string[]): Promise<Step> {
  const output = await curl(environment, endpoint, ['-D', '-', '-o', '/dev/null', '-H', 'Expect:', ...args])
  const transfer = parseTransfer(output.trimEnd().split('\n').at(-1) ?? '')
  if (transfer.status >= 300) throw new Error(`a push: ${output}`)
  const location = /^location: (\S+)/im.exec(output)?.[1] ?? ''
  // Uses the path only, because a peer that returns a wrong scheme would be bypassed.
  const { pathname, search } = new URL(location, originOf(endpoint))
  return { ...transfer, location: `${originOf(endpoint)}${pathname}${search}` }
}

function curl(environment: Environment, endpoint: Endpoint, args: readonly string[]): Promise<string> {
  return runChild(['curl', ...commonArgs(environment, endpoint), '-w', REPORT, ...args])
}

function commonArgs({ identity, user }: Environment, { isGuarded }: Endpoint): readonly string[] {
  const guard = ['--cacert', identity.root, '--tls13-ciphers', CIPHERS, '-u', `${user.name}:${user.password}`]
  // -q ignores the user's .curlrc.
  return ['-q', '-s', '-S', '--no-progress-meter', '--http1.1', '--noproxy', '*', ...(isGuarded ? guard : [])]
}

function urlOf(endpoint: Endpoint, { digest }: Blob): string {
  return `${originOf(endpoint)}/v2/bench/blobs/${digest}`
}

function parseTransfer(line: string): Transfer {
  const [status = 0, seconds = 0, bytes = 0] = line.trim().split(' ').map(Number)
  return { status, seconds, bytes }
}
