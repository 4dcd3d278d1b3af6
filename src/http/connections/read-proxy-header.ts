// Reads the PROXY protocol header of a connection before TLS.

import type { Socket } from 'node:net'
import type { Endpoints } from './connection.ts'
import { parseProxyHeader, type ProxyHeader } from './proxy-header.ts'

export type HeaderOutcome =
  | { readonly kind: 'header'; readonly endpoints: Endpoints | undefined }
  | Extract<ProxyHeader, { readonly kind: 'refused' }>
  /** The connection has closed, for example because a proxy only checked the port. */
  | { readonly kind: 'closed' }

/** Bytes after the header stay in the socket for TLS. Threat: an endless header fills memory; the parser refuses it. */
export function readProxyHeader(tcp: Socket, timeoutMs: number): Promise<HeaderOutcome> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0)
    // Does not start again with each byte, so that it also ends slow senders.
    const timer = setTimeout(() => {
      finish({ kind: 'refused', fault: 'proxy-header-time' })
    }, timeoutMs)
    tcp.on('readable', onReadable).on('end', onEnd).on('close', onClose)
    tcp.on('error', () => undefined)

    function onReadable(): void {
      const chunk: unknown = tcp.read()
      if (!Buffer.isBuffer(chunk)) return
      received = Buffer.concat([received, chunk])
      const header = parseProxyHeader(received)
      if (header.kind === 'incomplete') return
      if (header.kind === 'header' && header.length < received.length) {
        tcp.unshift(received.subarray(header.length))
      }
      finish(header)
    }

    function onEnd(): void {
      if (received.length === 0) onClose()
      else finish({ kind: 'refused', fault: 'proxy-header-malformed' })
    }

    function onClose(): void {
      finish({ kind: 'closed' })
    }

    function finish(outcome: HeaderOutcome): void {
      clearTimeout(timer)
      tcp.off('readable', onReadable).off('end', onEnd).off('close', onClose)
      resolve(outcome)
    }
  })
}
