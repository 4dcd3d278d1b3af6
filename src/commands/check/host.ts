// One address as a client would meet it: the name, the connection, the handshake, the certificate, the answer. Each step
// that fails is told with its mend, and ends the way there.

import type { Config } from '../../config.ts'
import type { Machine } from '../machine.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import type { World } from '../world.ts'
import { askRegistry, type RegistryAnswer } from './ask-registry.ts'
import { explainAnswer } from './explain-answer.ts'
import { explainCertificate } from './explain-certificate.ts'
import { explainHandshake, isAlert } from './explain-handshake.ts'
import { explainTrust } from './explain-trust.ts'
import type { Finding } from './finding.ts'
import { look, type Handshake, type Sight } from './handshake.ts'
import { readKnownRoots } from './known-roots.ts'
import { talkPlainly } from './plain-talk.ts'
import { explainProxies } from './proxies.ts'
import { reach } from './reach.ts'
import { judgeChain } from './verdicts.ts'

export interface HostCheck {
  readonly config: Config
  readonly target: RegistryAddress
  readonly machine: Machine
  readonly env: World['env']
  /** For each step. */
  readonly timeoutMs: number
  readonly now: Date
}

/** Everything that there is to say about the address. Sends no credentials. */
export async function checkHost(check: HostCheck): Promise<readonly Finding[]> {
  const { target, env, timeoutMs } = check
  const proxies = explainProxies(target, env)
  const { place, findings } = await reach(target, timeoutMs)
  if (place === undefined) return [...findings, ...proxies]
  const further = await checkTls(check, { place, name: target.name, timeoutMs })
  return [...findings, ...further, ...proxies]
}

async function checkTls(check: HostCheck, handshake: Handshake): Promise<readonly Finding[]> {
  const { config, target, machine, env, timeoutMs, now } = check
  let asked: Promise<RegistryAnswer> | undefined
  const sight = await look(handshake, (socket) => {
    asked = askRegistry(socket, target.key, timeoutMs)
  })
  if (sight.kind !== 'done') return [await whyNoHandshake(check, { handshake, sight })]
  const tls: Finding = { level: 'ok', part: 'tls', text: `${sight.protocol} handshake done` }
  const answer = asked === undefined ? [] : [explainAnswer(await asked)]
  const [leaf, ...others] = sight.chain
  if (leaf === undefined) {
    const text = 'it shows no certificate at all'
    return [{ level: 'problem', part: 'tls', text, mend: 'is this a TLS server for clients?' }, ...answer]
  }
  const known = await readKnownRoots({ config, key: target.key, machine, env })
  const verdicts = await judgeChain(handshake, sight.chain, known)
  const isOurs = !('missing' in verdicts.ours) && verdicts.ours.isAnchored
  const shown = { target, chain: [leaf, ...others] as const, isOurs, now }
  return [tls, ...explainCertificate(shown), ...explainTrust({ ...shown, verdicts }), ...answer]
}

interface Failure {
  readonly handshake: Handshake
  readonly sight: Exclude<Sight, { readonly kind: 'done' }>
}

async function whyNoHandshake({ target }: HostCheck, { handshake, sight }: Failure): Promise<Finding> {
  const { place, timeoutMs } = handshake
  const isTold = sight.kind === 'failed' && isAlert(sight.code)
  return explainHandshake(sight, isTold ? undefined : await talkPlainly(place, target.key, timeoutMs))
}
