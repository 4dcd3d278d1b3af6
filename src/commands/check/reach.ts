// From a name to a TCP connection: what a client does first, and what keeps it from going on.

import { lookup } from 'node:dns/promises'
import { connect } from 'node:net'
import { errorCode, errorMessage } from '../../errors.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import type { Finding } from './finding.ts'

export interface Place {
  readonly address: string
  readonly port: number
}

export interface Reached {
  /** Undefined when nothing could be reached. */
  readonly place: Place | undefined
  readonly findings: readonly Finding[]
}

// A name with more has them for spreading load; one that answers is enough.
const MAX_ADDRESSES = 8

/** Resolves the name and connects to the first address that accepts, as clients do. */
export async function reach({ key, name, port }: RegistryAddress, timeoutMs: number): Promise<Reached> {
  const resolved = await resolve(name.value)
  if ('level' in resolved) return { place: undefined, findings: [resolved] }
  const failures: Finding[] = []
  for (const address of resolved.addresses.slice(0, MAX_ADDRESSES)) {
    const reason = await tryToConnect({ address, port }, timeoutMs)
    if (reason === undefined) {
      const text = `${key} is ${addressText(address, port)}, and something listens there`
      // A client tries the others too, and waits for those that do not answer.
      const notes = failures.map((failure): Finding => ({ ...failure, level: 'note' }))
      return { place: { address, port }, findings: [{ level: 'ok', part: 'address', text }, ...notes] }
    }
    failures.push({ level: 'problem', part: 'address', ...explain(reason, { key, address, port }) })
  }
  return { place: undefined, findings: failures }
}

async function resolve(name: string): Promise<{ readonly addresses: readonly string[] } | Finding> {
  try {
    const found = await lookup(name, { all: true })
    return { addresses: found.map(({ address }) => address) }
  } catch (error) {
    const isUnanswered = errorCode(error) === 'EAI_AGAIN'
    return {
      level: 'problem',
      part: 'address',
      text: isUnanswered
        ? `${name}: no name server answers on this machine`
        : `${name} is no name that this machine knows`,
      mend: isUnanswered
        ? 'see to its network, or to /etc/resolv.conf'
        : `have it put into DNS, or here: echo "ADDRESS ${name}" | sudo tee -a /etc/hosts`,
    }
  }
}

/** Resolves to the reason why not, or to undefined when it worked. */
function tryToConnect({ address, port }: Place, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    socket.setTimeout(timeoutMs, () => {
      done('timeout')
    })
    socket.once('connect', () => {
      done(undefined)
    })
    socket.on('error', (error) => {
      done(errorCode(error) ?? errorMessage(error))
    })

    function done(reason: string | undefined): void {
      socket.destroy()
      resolve(reason)
    }
  })
}

interface Failed extends Place {
  readonly key: string
}

function explain(reason: string, { key, address, port }: Failed): Pick<Finding, 'text' | 'mend'> {
  const where = addressText(address, port)
  switch (reason) {
    case 'ECONNREFUSED': {
      const hint = key.endsWith(`:${port}`) ? '' : ` (no port was written, so clients take ${port})`
      const mend =
        'start the sidecar there, publish its port, or write the port it listens on: --host NAME:PORT'
      return { text: `nothing listens on ${where}${hint}`, mend }
    }
    case 'timeout':
    case 'ETIMEDOUT': {
      const mend = 'see whether the machine is up, the address right, and no firewall drops the packets'
      return { text: `${where} does not answer at all`, mend }
    }
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return {
        text: `there is no way to ${where} from here (${reason})`,
        mend: 'see to the network or a VPN',
      }
    default:
      return { text: `${where}: ${reason}` }
  }
}

function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
