// Runs `healthcheck`: asks the running sidecar whether it is ready.

import type { Config } from '../settings/config.ts'
import { CommandError } from '../errors/errors.ts'
import type { ExitCode, World } from '../app/world.ts'
import { sendSmallRequest, type SmallAnswer } from '../upstream/probe/small-request.ts'

const HEALTH_TIMEOUT_MS = 5_000
const MAX_BODY_LENGTH = 1024 * 1024

export async function healthcheck(config: Config, { stdout }: World): Promise<ExitCode> {
  const { adminListen } = config
  if (adminListen === 'off')
    throw new CommandError('SIDECAR_ADMIN_LISTEN is off; set it, because healthcheck needs the admin address')
  const host = reachable(adminListen.host)
  const { status, body } = await ask(host, adminListen.port)
  stdout.write(body.endsWith('\n') ? body : `${body}\n`)
  return status === 200 ? 0 : 1
}

// A listener on every address is reachable on the loopback address.
function reachable(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

async function ask(hostname: string, port: number): Promise<{ status: number; body: string }> {
  const request = { to: { hostname, port }, path: '/readyz' }
  const answer = await sendSmallRequest({
    ...request,
    timeoutMs: HEALTH_TIMEOUT_MS,
    maxBodyLength: MAX_BODY_LENGTH,
  })
  if (answer.kind === 'answer' && answer.isWhole) return answer
  throw new CommandError(`no sidecar answers on ${hostname}:${port}: ${reasonOf(answer)}`)
}

function reasonOf(answer: SmallAnswer): string {
  switch (answer.kind) {
    case 'failed':
      return answer.code
    case 'timeout':
      return 'no answer in time'
    case 'answer':
      return 'the answer is incomplete'
  }
}
