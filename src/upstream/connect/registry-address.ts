// Defines the address of the registry: TCP, or a unix socket.

export interface TcpAddress {
  readonly hostname: string
  readonly port: number
}

export interface SocketAddress {
  readonly socketPath: string
}

/** Fits the options of Node's `http.request`. */
export type RegistryAddress = TcpAddress | SocketAddress

/** In the form of SIDECAR_UPSTREAM. */
export function addressText(address: RegistryAddress): string {
  if ('socketPath' in address) return `unix:${address.socketPath}`
  const { hostname, port } = address
  return `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`
}
