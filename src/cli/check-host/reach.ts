// Resolves a registry's name and connects to it, as clients do.

import { lookup } from 'node:dns/promises'
import { connect } from 'node:net'
import { errorCode, errorMessage } from '../../errors/errors.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import type { Explanation, Finding } from '../check/finding.ts'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

export interface Reached {
  /** Undefined when no address accepts a connection. */
  readonly endpoint: Endpoint | undefined
  /** All addresses of the name, at most eight. */
  readonly addresses: readonly string[]
  readonly findings: readonly Finding[]
}

// A name with more addresses uses them only to spread the load.
const MAX_ADDRESSES = 8

export async function reach({ key, name, port }: RegistryAddress, timeoutMs: number): Promise<Reached> {
  const resolved = await resolveName(name.value)
  if ('level' in resolved) return { endpoint: undefined, addresses: [], findings: [resolved] }
  const addresses = resolved.addresses.slice(0, MAX_ADDRESSES)
  const failures: Finding[] = []
  for (const address of addresses) {
    const reason = await tryConnect({ address, port }, timeoutMs)
    if (reason === undefined) {
      const text = `${key} is ${formatEndpoint({ address, port })}, which accepts connections`
      // Clients try the failed addresses too, and wait for each that does not answer.
      const notes = failures.map((failure): Finding => ({ ...failure, level: 'note' }))
      return {
        endpoint: { address, port },
        addresses,
        findings: [{ level: 'ok', part: 'address', text }, ...notes],
      }
    }
    failures.push({ level: 'problem', part: 'address', ...explainFailure(reason, { key, address, port }) })
  }
  return { endpoint: undefined, addresses, findings: failures }
}

async function resolveName(name: string): Promise<{ readonly addresses: readonly string[] } | Finding> {
  try {
    const found = await lookup(name, { all: true })
    return { addresses: found.map(({ address }) => address) }
  } catch (error) {
    const explanation =
      errorCode(error) === 'EAI_AGAIN'
        ? {
            text: `no name server answers when this machine looks up ${name}`,
            hint: 'check the network and /etc/resolv.conf',
          }
        : {
            text: `this machine cannot resolve ${name}`,
            hint: `add the name to DNS, or on this machine: echo "ADDRESS ${name}" | sudo tee -a /etc/hosts`,
          }
    return { level: 'problem', part: 'address', ...explanation }
  }
}

/** Resolves to the reason of a failure, or to undefined when connected. */
function tryConnect({ address, port }: Endpoint, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    socket.setTimeout(timeoutMs, () => {
      finish('timeout')
    })
    socket.once('connect', () => {
      finish(undefined)
    })
    socket.on('error', (error) => {
      finish(errorCode(error) ?? errorMessage(error))
    })

    function finish(reason: string | undefined): void {
      socket.destroy()
      resolve(reason)
    }
  })
}

interface FailedEndpoint extends Endpoint {
  readonly key: string
}

function explainFailure(reason: string, { key, ...endpoint }: FailedEndpoint): Explanation {
  const { port } = endpoint
  const where = formatEndpoint(endpoint)
  switch (reason) {
    case 'ECONNREFUSED': {
      const defaultPort = key.endsWith(`:${port}`) ? '' : ` (clients use port ${port} if none is given)`
      const hint =
        'start the sidecar there, publish its port, or give the port it listens on: --host NAME:PORT'
      return { text: `nothing listens on ${where}${defaultPort}`, hint }
    }
    case 'timeout':
    case 'ETIMEDOUT': {
      const hint = 'check that the machine is up, the address is right and no firewall drops the packets'
      return { text: `${where} does not answer`, hint }
    }
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return {
        text: `no route from this machine to ${where} (${reason})`,
        hint: 'check the network or the VPN',
      }
    default:
      return { text: `${where}: ${reason}` }
  }
}

export function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
