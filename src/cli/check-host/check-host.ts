// Checks one address step by step, as a client connects.

import type { Config } from '../../settings/config.ts'
import type { Machine } from '../this-machine.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import type { World } from '../../app/world.ts'
import { askRegistry } from '../check/ask-registry.ts'
import { explainAnswer } from './explain-answer.ts'
import { explainCertificate } from './explain-certificate.ts'
import { explainHandshake, isKnownAlert } from './explain-handshake.ts'
import { explainTrust } from './explain-trust.ts'
import type { Finding } from '../check/finding.ts'
import { compareReplicas } from './compare-replicas.ts'
import { inspectChain, type FailedHandshake, type HandshakeTarget } from './handshake.ts'
import { readKnownRoots } from './known-roots.ts'
import { probePlaintext } from './probe-plaintext.ts'
import { explainProxies } from './proxies.ts'
import { reach } from './reach.ts'
import { checkChain } from './chain-verdicts.ts'

export interface HostCheck {
  readonly config: Config
  readonly target: RegistryAddress
  readonly machine: Machine
  readonly env: World['env']
  /** The limit for each step. */
  readonly timeoutMs: number
  readonly now: Date
}

/** Stops at a step that fails. Sends no credentials. */
export async function checkHost(check: HostCheck): Promise<readonly Finding[]> {
  const { target, env, timeoutMs } = check
  const proxies = explainProxies(target, env)
  const { endpoint, addresses, findings } = await reach(target, timeoutMs)
  if (endpoint === undefined) return [...findings, ...proxies]
  const handshake = { endpoint, name: target.name, timeoutMs }
  const tlsFindings = await checkTls(check, handshake)
  const isTls = tlsFindings.some(({ part, level }) => part === 'tls' && level === 'ok')
  const replicas = isTls ? await compareReplicas(handshake, addresses) : []
  return [...findings, ...tlsFindings, ...replicas, ...proxies]
}

async function checkTls(check: HostCheck, handshake: HandshakeTarget): Promise<readonly Finding[]> {
  const { config, target, machine, env, timeoutMs, now } = check
  let asked: ReturnType<typeof askRegistry> | undefined
  const outcome = await inspectChain(handshake, (socket) => {
    asked = askRegistry(socket, target.key, timeoutMs)
  })
  if (outcome.kind !== 'done') return [await diagnoseFailure(outcome, { handshake, key: target.key })]
  const tls: Finding = { level: 'ok', part: 'tls', text: `${outcome.protocol} handshake done` }
  const answer = asked === undefined ? [] : [explainAnswer(await asked)]
  const [leaf, ...others] = outcome.chain
  if (leaf === undefined) {
    const text = 'the server sends no certificate'
    return [
      { level: 'problem', part: 'tls', text, hint: 'check the port: this may be another service' },
      ...answer,
    ]
  }
  const known = await readKnownRoots({ config, key: target.key, machine, env })
  const checks = await checkChain(handshake, outcome.chain, known)
  const isUnderLocalRoot = !('missing' in checks.localRoot) && checks.localRoot.isAnchored
  const presented = { target, chain: [leaf, ...others] as const, isUnderLocalRoot, now }
  return [tls, ...explainCertificate(presented), ...explainTrust({ ...presented, checks }), ...answer]
}

interface Attempt {
  readonly handshake: HandshakeTarget
  readonly key: string
}

async function diagnoseFailure(failure: FailedHandshake, { handshake, key }: Attempt): Promise<Finding> {
  if (failure.kind === 'failed' && isKnownAlert(failure.code)) return explainHandshake(failure, undefined)
  return explainHandshake(failure, await probePlaintext(handshake.endpoint, key, handshake.timeoutMs))
}
