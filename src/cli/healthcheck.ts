import { get } from 'node:http'
import type { Config } from '../settings/config.ts'
import { CommandError, errorCode, errorMessage } from '../errors/errors.ts'
import type { ExitCode, World } from '../app/world.ts'

const HEALTH_TIMEOUT_MS = 5_000

/** Whether the sidecar that runs on this machine with these settings is ready: 0 or 1, with the reasons on stdout. */
export async function healthcheck(config: Config, { stdout }: World): Promise<ExitCode> {
  const { adminListen } = config
  if (adminListen === 'off') throw new CommandError('SIDECAR_ADMIN_LISTEN is off: there is no address to ask')
  const host = reachable(adminListen.host)
  const { status, body } = await ask(host, adminListen.port)
  stdout.write(body.endsWith('\n') ? body : `${body}\n`)
  return status === 200 ? 0 : 1
}

// What is bound to every address is asked on the loopback.
function reachable(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

function ask(host: string, port: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS)
    const request = get({ host, port, path: '/readyz', agent: false, signal }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => (body += text))
      response.on('error', onError)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body })
      })
    })
    request.on('error', onError)

    function onError(error: Error): void {
      const reason = signal.aborted ? 'no answer in time' : (errorCode(error) ?? errorMessage(error))
      reject(new CommandError(`no sidecar answers on ${host}:${port}: ${reason}`, { cause: error }))
    }
  })
}
