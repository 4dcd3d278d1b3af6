// Parses the Host header.

export interface HostHeader {
  readonly name: string
  readonly port: number | undefined
}

const HOST = /^(?:([A-Za-z0-9._-]{1,255})|\[([0-9A-Fa-f:.]{2,45})\])(?::(\d{1,5}))?$/

/** Undefined for a missing or malformed header. The port may be 0 or above 65535. */
export function parseHost(header: string | undefined): HostHeader | undefined {
  const match = HOST.exec(header ?? '')
  if (match === null) return undefined
  const [, name, address = '', digits] = match
  return { name: name ?? address, port: digits === undefined ? undefined : Number(digits) }
}
