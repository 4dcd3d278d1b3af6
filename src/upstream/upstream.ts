// Upstream: the registry behind us, reached through http-proxy.
//
// The only file that imports http-proxy. It streams both bodies and never holds one in memory; it sends GET and HEAD
// a second time at most, anything else once. http-proxy 1.18.1 is no longer maintained: what is switched
// off, removed or guarded here closes a hole of it each, and test/upstream has a test for each.

import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { Readable } from 'node:stream'
import util from 'node:util'
import type httpProxy from 'http-proxy'
import { errorCode } from '../errors/errors.ts'
import { createConnections, isRepeatable } from './registry-connections.ts'
import { failExchange, type Exchange } from './exchange.ts'
import { failureOf, type UpstreamFailure } from './failure.ts'
import { requestHeaders, type ForwardedFor } from './headers.ts'
import { createLocationRewrite } from './location-rewrite.ts'
import { probeRegistry, type ProbeOutcome } from './probe/probe.ts'
import { relayResponse } from './response.ts'
import { createSpliceMemory } from './splice/splice-memory.ts'
import { sendBody } from './request-body.ts'
import { createWatchdog, type WatchdogLimits } from './watchdog.ts'

export interface Upstream {
  /**
   * Sends one admitted and authenticated request on and its answer back. The caller has checked method, target and
   * framing. Failures are told once, through `onFailure`; when no head was sent yet, answering is the caller's part.
   */
  forward(incoming: IncomingMessage, outgoing: ServerResponse, context: ForwardContext): void
  /** Whether the registry answers right now. */
  probe(): Promise<ProbeOutcome>
  /** Bytes of buffers that large bodies hold now. */
  readonly spliceBytesInUse: number
  close(): void
}

export interface ForwardContext extends ForwardedFor {
  readonly onFailure: (failure: UpstreamFailure) => void
}

export interface UpstreamOptions extends WatchdogLimits {
  readonly hostname: string
  readonly port: number
  /** Bytes that the buffers of large bodies may take in all. */
  readonly spliceMemory: number
}

const EXCHANGE = Symbol('exchange')

// A map from request to exchange would cost several times what a property does (measured).
type WithExchange = IncomingMessage & { [EXCHANGE]?: Exchange }

export function createUpstream({ hostname, port, spliceMemory, ...limits }: UpstreamOptions): Upstream {
  const connections = createConnections()
  const memory = createSpliceMemory(spliceMemory)
  const parts = { memory, rewriteLocation: createLocationRewrite({ hostname, port }) }
  const watchdog = createWatchdog(limits)
  const proxy = createProxy({ protocol: 'http:', host: hostname, port: String(port) })
  proxy.on('proxyReq', onRequest)
  proxy.on('proxyRes', (response, incoming: WithExchange) => {
    const exchange = incoming[EXCHANGE]
    if (exchange === undefined) response.destroy()
    else relayResponse(exchange, response, parts)
  })

  function forward(incoming: WithExchange, outgoing: ServerResponse, context: ForwardContext): void {
    const { onFailure } = context
    const exchange: Exchange = { incoming, outgoing, onFailure, ...NEW }
    incoming[EXCHANGE] = exchange
    // Before web(): when 'proxyReq' comes the head may be out already.
    incoming.headers = requestHeaders(incoming.headers, context)
    watchdog.watch(exchange)
    outgoing.once('close', () => {
      watchdog.unwatch(exchange)
      if (!outgoing.writableFinished)
        failExchange(exchange, { kind: 'client-closed', cause: 'the client left' })
      exchange.isOver = true
    })
    send(exchange)
  }

  function send(exchange: Exchange): void {
    const { isRetried } = exchange
    try {
      const options = { agent: connections.agentFor(exchange), buffer: bodyOf(exchange) }
      proxy.web(exchange.incoming, exchange.outgoing, options, (error) => {
        // A first try may fail twice: when its connection ends, and when that fails what was written.
        if (isRetried === exchange.isRetried) onError(exchange, error)
      })
    } catch (error) {
      // Some targets and header values throw here instead of calling back.
      failExchange(exchange, failureOf(error))
    }
  }

  function onError(exchange: Exchange, error: Error): void {
    // A reset after the last byte of the answer takes nothing away from it.
    if (exchange.isOver || exchange.answer?.complete === true) return
    if (!isStaleConnection(exchange, error)) {
      failExchange(exchange, failureOf(error))
      return
    }
    exchange.isRetried = true
    // Its 'close' follows in this tick, and must not fail the exchange that goes on.
    exchange.request = undefined
    send(exchange)
  }

  return {
    forward,
    probe: () => probeRegistry({ hostname, port }),
    get spliceBytesInUse() {
      return memory.inUse
    },
    close: () => {
      watchdog.close()
      connections.close()
    },
  }
}

// http-proxy only calls `pipe` on the stream that it reads a body from.
function bodyOf(exchange: Exchange): Readable {
  const pipe = (request: ClientRequest): void => {
    exchange.upload = sendBody(exchange.incoming, request)
  }
  return { pipe } as unknown as Readable
}

const NEW = {
  request: undefined,
  upload: undefined,
  answer: undefined,
  isRetried: false,
  isOver: false,
} as const

// Emitted when the request gets its socket. Its head may be out already: for reading only.
function onRequest(request: ClientRequest, incoming: WithExchange): void {
  const exchange = incoming[EXCHANGE]
  if (exchange === undefined || exchange.isOver || exchange.outgoing.destroyed) {
    request.destroy()
    return
  }
  exchange.request = request
  // An answer that Node gives to nobody, such as a 101 that was not asked for, closes without 'response' or 'error'.
  request.once('close', () => {
    if (request === exchange.request && exchange.answer === undefined && request.errored === null) {
      failExchange(exchange, { kind: 'broke-off', cause: 'the registry closed without an answer' })
    }
  })
}

// The registry closed a kept connection as this request went out on it. What is repeatable goes out once more.
function isStaleConnection({ incoming, request, isRetried, answer }: Exchange, error: Error): boolean {
  if (isRetried || answer !== undefined || request?.reusedSocket !== true) return false
  if (errorCode(error) !== 'ECONNRESET' && errorCode(error) !== 'EPIPE') return false
  return isRepeatable(incoming.method)
}

function createProxy(target: httpProxy.ProxyTarget): httpProxy {
  const proxy = loadHttpProxy().createProxyServer({
    target,
    selfHandleResponse: true,
    // Both together: the target passes byte for byte instead of through url.parse.
    toProxy: true,
    prependPath: false,
    xfwd: false,
  }) as httpProxy & { webPasses: { readonly name: string }[] }
  // For a chunked DELETE or OPTIONS this pass writes "content-length: 0" and still sends the body: on a kept-alive
  // connection that body is a second request that nobody authenticated.
  proxy.webPasses = proxy.webPasses.filter((pass) => pass.name !== 'deleteLength')
  return proxy
}

// http-proxy takes util._extend when it is loaded, and calling that prints a deprecation warning on newer Nodes.
function loadHttpProxy(): typeof httpProxy {
  const legacy = util as unknown as { _extend: unknown }
  const deprecated = legacy._extend
  legacy._extend = Object.assign
  try {
    return createRequire(import.meta.url)('http-proxy') as typeof httpProxy
  } finally {
    legacy._extend = deprecated
  }
}
