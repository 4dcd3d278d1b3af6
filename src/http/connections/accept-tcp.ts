// Accepts TCP connections of clients, and of proxies with a PROXY header.
// The limits apply before TLS, so that a refused connection costs no TLS state.

import type { Socket } from 'node:net'
import type { IsProxy } from '../client-address.ts'
import type { Limits } from '../limits.ts'
import type { ClientCaGenerations } from './client-ca-change.ts'
import { destroyTcp } from './connection-limits.ts'
import { openConnection, type Connection, type Endpoints } from './connection.ts'
import { readProxyHeader } from './read-proxy-header.ts'

export interface Proxies {
  readonly isProxy: IsProxy
  /** `on`: each connection comes from a proxy and begins with a header. */
  readonly protocol: 'on' | 'off'
}

export interface AcceptTcpOptions {
  readonly limits: Pick<Limits, 'audit' | 'connections' | 'handshakeTimeoutMs'>
  readonly clientCas: Pick<ClientCaGenerations, 'current'>
  readonly proxies: Proxies
}

export function createTcpAcceptor(
  { limits, clientCas, proxies }: AcceptTcpOptions,
  startTls: (tcp: Socket) => void,
): (tcp: Socket) => void {
  const { audit, connections, handshakeTimeoutMs } = limits

  function accept(
    tcp: Socket,
    { isProxy = proxies.isProxy, endpoints }: Announced = {},
  ): Connection | undefined {
    const from = endpoints === undefined ? {} : { endpoints }
    const connection = openConnection(tcp, { clientCas: clientCas.current, isProxy, ...from })
    if (connection === undefined) {
      destroyTcp(tcp)
      return undefined
    }
    // Threat: anyone who reaches the port could claim any address, or use up the connections of proxies.
    if (endpoints === undefined && proxies.protocol === 'on' && !connection.isProxy) {
      audit.reached('proxy-peer', connection.source)
      destroyTcp(tcp)
      return undefined
    }
    return connections.accept(connection) ? connection : undefined
  }

  // Until the header has arrived, the connection counts as a connection of the proxy.
  async function acceptClient(proxy: Connection): Promise<void> {
    const { tcp } = proxy
    const outcome = await readProxyHeader(tcp, handshakeTimeoutMs)
    if (outcome.kind !== 'header') {
      if (outcome.kind === 'refused') audit.reached(outcome.fault, proxy.source)
      destroyTcp(tcp)
      return
    }
    connections.table.remove(proxy)
    if (accept(tcp, announcedIn(outcome.endpoints, proxy)) === undefined) return
    startTls(tcp)
  }

  return (tcp) => {
    const connection = accept(tcp)
    if (connection === undefined) return
    if (proxies.protocol === 'off') startTls(tcp)
    else void acceptClient(connection)
  }
}

interface Announced {
  readonly endpoints?: Endpoints
  readonly isProxy?: IsProxy
}

// Threat: a header without addresses hides a client, who could then claim any address in X-Forwarded-For.
function announcedIn(endpoints: Endpoints | undefined, { address, localAddress }: Connection): Announced {
  return endpoints === undefined
    ? { endpoints: { address, localAddress }, isProxy: () => false }
    : { endpoints }
}
