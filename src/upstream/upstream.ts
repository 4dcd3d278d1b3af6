// Forwards requests to the registry through http-proxy.
// http-proxy 1.18.1 is no longer maintained. This file works around its bugs; test/upstream has a test for each bug.

import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { Readable } from 'node:stream'
import util from 'node:util'
import type httpProxy from 'http-proxy'
import { createConnections } from './connect/registry-connections.ts'
import { createExchange, failExchange, type Exchange, type ForwardContext } from './exchange.ts'
import { failureOf, type UpstreamFailure } from './failure.ts'
import { createLocationRewrite } from './location-rewrite.ts'
import { probeRegistry, type ProbeOutcome } from './probe/probe.ts'
import type { RegistryAddress } from './connect/registry-address.ts'
import { forwardResponse, type ResponseParts } from './response.ts'
import { sendAgainOrFail } from './send-again.ts'
import { createSpliceMemory } from './splice/splice-memory.ts'
import { sendBody } from './request-body.ts'
import { createManifestLookup, type ManifestLookup } from './manifest-lookup.ts'
import { createWatchdog, type Watchdog, type WatchdogLimits } from './watchdog.ts'
import { sendWhole } from './whole-request.ts'

export interface Upstream {
  /** Calls `onFailure` at most once; the caller answers if no head was sent. */
  forward(incoming: IncomingMessage, outgoing: ServerResponse, context: ForwardContext): void
  /** Resolves when the registry has answered, or can no longer carry out the request, so that no request overtakes it. */
  forwardWhole(incoming: IncomingMessage, outgoing: ServerResponse, context: WholeContext): Promise<void>
  readonly manifests: ManifestLookup
  probe(): Promise<ProbeOutcome>
  readonly spliceBytesInUse: number
  close(): void
}

export interface WholeContext extends ForwardContext {
  readonly body: Buffer
}

export interface UpstreamOptions extends WatchdogLimits, Pick<ResponseParts, 'onFirstByte'> {
  readonly address: RegistryAddress
  /** In bytes. */
  readonly spliceMemory: number
}

const EXCHANGE = Symbol('exchange')

// Measured: a property is several times faster than a map from request to exchange.
type WithExchange = IncomingMessage & { [EXCHANGE]?: Exchange }

export function createUpstream(options: UpstreamOptions): Upstream {
  const { address, spliceMemory, onFirstByte, ...limits } = options
  const connections = createConnections(address)
  const memory = createSpliceMemory(spliceMemory)
  const parts = { memory, rewriteLocation: createLocationRewrite(address), onFirstByte }
  const watchdog = createWatchdog(limits)
  const proxy = createProxy(address)
  proxy.on('proxyReq', onRequest)
  proxy.on('proxyRes', (response, incoming: WithExchange) => {
    const exchange = incoming[EXCHANGE]
    if (exchange === undefined) response.destroy()
    else forwardResponse(exchange, response, parts)
  })

  function forward(incoming: WithExchange, outgoing: ServerResponse, context: ForwardContext): void {
    const exchange = createExchange(incoming, outgoing, context)
    incoming[EXCHANGE] = exchange
    watch(exchange, watchdog)
    send(exchange)
  }

  function forwardWhole(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    { body, ...context }: WholeContext,
  ): Promise<void> {
    const exchange = createExchange(incoming, outgoing, { ...context, isWhole: true })
    watch(exchange, watchdog)
    const to = { ...address, agent: connections.agentFor(exchange) }
    return sendWhole(exchange, { ...to, body, responseTimeoutMs: limits.responseTimeoutMs, parts })
  }

  function send(exchange: Exchange): void {
    const { attempt } = exchange
    const options = { agent: connections.agentFor(exchange), buffer: bodyOf(exchange) }
    startRequest(proxy, exchange, options, (error) => {
      // An attempt may report two errors: the connection ended, and bytes were not sent.
      if (attempt === exchange.attempt) sendAgainOrFail(exchange, error, send)
    })
  }

  return {
    forward,
    forwardWhole,
    manifests: createManifestLookup(address),
    probe: () => probeRegistry(address),
    get spliceBytesInUse() {
      return memory.inUse
    },
    close: () => {
      watchdog.close()
      connections.close()
    },
  }
}

function watch(exchange: Exchange, watchdog: Watchdog): void {
  const { outgoing } = exchange
  watchdog.watch(exchange)
  outgoing.once('close', () => {
    watchdog.unwatch(exchange)
    if (!outgoing.writableFinished) failExchange(exchange, CLIENT_LEFT)
    exchange.isOver = true
  })
}

function startRequest(
  proxy: httpProxy,
  exchange: Exchange,
  options: httpProxy.ServerOptions,
  onError: (error: Error) => void,
): void {
  const { incoming, outgoing, target, registryHeaders } = exchange
  const { headers, url } = incoming
  // web() copies URL and headers. Changing them at 'proxyReq' is too late, because the head may already be sent.
  incoming.url = target
  incoming.headers = registryHeaders
  try {
    proxy.web(incoming, outgoing, options, onError)
  } catch (error) {
    failExchange(exchange, failureOf(error))
  } finally {
    incoming.url = url
    incoming.headers = headers
  }
}

// http-proxy uses no other method of the body stream than `pipe`.
function bodyOf(exchange: Exchange): Readable {
  const pipe = (request: ClientRequest): void => {
    exchange.upload = sendBody(exchange.incoming, request)
  }
  return { pipe } as unknown as Readable
}

const CLIENT_LEFT: UpstreamFailure = { kind: 'client-closed', cause: 'the client left' }

function onRequest(request: ClientRequest, incoming: WithExchange): void {
  const exchange = incoming[EXCHANGE]
  if (exchange === undefined || exchange.isOver || exchange.outgoing.destroyed) {
    request.destroy()
    return
  }
  exchange.request = request
  // For some answers, such as an unexpected 101, Node emits only 'close'.
  request.once('close', () => {
    if (request === exchange.request && exchange.answer === undefined && request.errored === null) {
      failExchange(exchange, { kind: 'broke-off', cause: 'the registry closed without an answer' })
    }
  })
}

function createProxy(address: RegistryAddress): httpProxy {
  const proxy = loadHttpProxy().createProxyServer({
    target: targetOf(address),
    selfHandleResponse: true,
    // Both together make http-proxy forward the target byte for byte.
    toProxy: true,
    prependPath: false,
    xfwd: false,
  }) as httpProxy & { webPasses: { readonly name: string }[] }
  // Threat: this pass writes "content-length: 0" for a chunked DELETE, so its body becomes a second request.
  proxy.webPasses = proxy.webPasses.filter((pass) => pass.name !== 'deleteLength')
  return proxy
}

function targetOf(address: RegistryAddress): httpProxy.ProxyTarget {
  if ('hostname' in address) return { protocol: 'http:', host: address.hostname, port: address.port }
  // With a socket, Node ignores host and port.
  return { protocol: 'http:', host: 'localhost', port: 80, socketPath: address.socketPath }
}

// Newer versions of Node print a warning when http-proxy calls util._extend.
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
