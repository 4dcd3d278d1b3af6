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
}

export function bind(server: Server, { host, port, setting }: BindOptions): Promise<BoundAddress> {
  return new Promise((resolve, reject) => {
    server.once('error', onError)
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', onError)
      const address = server.address() as AddressInfo
      resolve({ host: address.address, port: address.port })
    })

    function onError(error: Error): void {
      const where = `${host ?? ''}:${port}`
      reject(new CommandError(`cannot listen on ${where}: ${reasonOf(error)} (${setting})`, { cause: error }))
    }
  })
}

function reasonOf(error: Error): string {
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return 'another process uses this port; stop it or choose another port'
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
