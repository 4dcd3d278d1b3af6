// Binds a server to its address.

import type { AddressInfo, Server } from 'node:net'
import { CommandError, errorCode, errorMessage } from '../errors/errors.ts'

export interface BoundAddress {
  readonly host: string
  readonly port: number
}

export interface BindOptions {
  readonly host: string | undefined
  readonly port: number
  readonly setting: string
  /** Other processes of the same user may bind the same port. */
  readonly reusePort?: boolean
  /** What to do if the port is in use. */
  readonly whenTaken?: string | undefined
}

export function bind(server: Server, options: BindOptions): Promise<BoundAddress> {
  const { host, port, setting, reusePort = false, whenTaken = TAKEN } = options
  return new Promise((resolve, reject) => {
    server.once('error', onError)
    const place = { port, reusePort, ...(host === undefined ? {} : { host }) }
    server.listen(place, () => {
      server.off('error', onError)
      const address = server.address() as AddressInfo
      resolve({ host: address.address, port: address.port })
    })

    function onError(error: Error): void {
      const where = `${host ?? ''}:${port}`
      const reason = errorCode(error) === 'EADDRINUSE' ? whenTaken : reasonOf(error)
      reject(new CommandError(`cannot listen on ${where}: ${reason} (${setting})`, { cause: error }))
    }
  })
}

const TAKEN = 'another process uses this port; stop it or choose another port'

function reasonOf(error: Error): string {
  switch (errorCode(error)) {
    case 'EACCES':
      return 'ports below 1024 need a privilege; choose a higher port'
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address'
    case 'ENOTFOUND':
      return 'this host name does not exist'
    default:
      return errorMessage(error)
  }
}
