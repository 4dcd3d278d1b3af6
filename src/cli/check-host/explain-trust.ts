// Explains which roots trust a server's chain, or why none does.

import type { X509Certificate } from 'node:crypto'
import { copyFile, fetchCommands, FETCHED_FILE, quoted } from '../../client-setup/shell-commands.ts'
import { isLoopbackAddress } from '../../pki/names.ts'
import { isSidecarCross, isSidecarRoot } from '../trust/certs-file.ts'
import { subjectOf, type PresentedCertificate } from './explain-certificate.ts'
import { printable, type Explanation, type Finding } from '../check/finding.ts'
import { isTrusted, type ChainCheck, type ChainChecks } from './chain-verdicts.ts'

export interface CheckedCertificate extends PresentedCertificate {
  readonly checks: ChainChecks
}

export function explainTrust(certificate: CheckedCertificate): readonly Finding[] {
  const { checks } = certificate
  const { localRoot, system, folders } = checks
  const notes = [...noteMissingRoots(checks), ...noteLoopback(certificate)]
  const trustingFolder = folders.find(isTrusted)
  if (!('missing' in localRoot) && isTrusted(localRoot)) {
    const text = `issued under the root in ${localRoot.origin}`
    return [{ level: 'ok', part: 'trust', text }, ...notes, explainLocalClients(certificate)]
  }
  if (isTrusted(system)) {
    const text = `the chain ends at a root in ${system.origin}: clients need nothing else`
    return [{ level: 'ok', part: 'trust', text }, ...notes, ...noteOtherRoot(certificate)]
  }
  if (trustingFolder !== undefined) {
    const text = `clients on this machine trust the certificate because of ${trustingFolder.origin}`
    return [{ level: 'ok', part: 'trust', text }, ...notes, ...noteOtherRoot(certificate)]
  }
  return [{ level: 'problem', part: 'trust', ...explainUntrusted(certificate) }, ...notes]
}

function noteMissingRoots({ localRoot, unreadable }: ChainChecks): readonly Finding[] {
  const texts = unreadable.map((folder) => `this user cannot read ${folder}`)
  if ('missing' in localRoot) {
    texts.unshift(
      `no root of a sidecar was found on this machine (${localRoot.missing}): compared with the roots that this machine trusts`,
    )
  }
  return texts.map((text) => ({ level: 'note', part: 'trust', text }))
}

function noteLoopback({ target: { name } }: CheckedCertificate): readonly Finding[] {
  if (!isLoopbackAddress(name.value)) return []
  const text =
    'dockerd does not verify certificates on loopback addresses, but dockerd on other machines does'
  return [{ level: 'note', part: 'trust', text }]
}

function explainLocalClients({ target: { key }, checks: { folders } }: CheckedCertificate): Finding {
  const trusting = folders.filter(isTrusted).map(({ origin }) => origin)
  if (trusting.length > 0) {
    const text = `clients on this machine trust the certificate because of ${trusting.join(' and ')}`
    return { level: 'ok', part: 'trust', text }
  }
  const others = folders.map(({ origin }) => origin).join(' and ')
  const text =
    others === ''
      ? `no certs.d folder of this machine is named ${key}: docker and podman on this machine do not trust the certificate yet`
      : `other roots are in ${others}: docker and podman on this machine do not trust the certificate`
  return {
    level: 'note',
    part: 'trust',
    text,
    hint: `registry-sidecar trust --install --host ${quoted(key)}`,
  }
}

function noteOtherRoot({ checks: { localRoot } }: CheckedCertificate): readonly Finding[] {
  if ('missing' in localRoot) return []
  const text = `the certificate was not issued under the root in ${localRoot.origin}`
  const hint =
    'if the sidecar of that root should answer there, find out which process listens at that address'
  return [{ level: 'note', part: 'trust', text, hint }]
}

function explainUntrusted({ target: { key }, chain, checks }: CheckedCertificate): Explanation {
  const { localRoot, system, folders } = checks
  const candidates = ['missing' in localRoot ? undefined : localRoot, ...folders, system]
  const anchored = candidates.find((check) => check?.isAnchored)
  if (anchored !== undefined) return explainRejection(anchored)
  const last = chain.at(-1) ?? chain[0]
  if (isSidecarRoot(last) || isSidecarCross(last)) return explainOtherSidecar(key, { last, localRoot })
  if (last.subject === last.issuer) {
    const subject = chain.length === 1 ? 'the self-signed certificate' : `the root ${subjectOf(last)}`
    return {
      text: `${subject} is not trusted on this machine (SHA-256 ${last.fingerprint256})`,
      hint: `if the operator of the server confirms this SHA-256, save the certificate as certs.d/${key}/ca.crt on each client`,
    }
  }
  const issuer = printable(last.issuer.replaceAll('\n', ', '))
  return {
    text: `the chain ends at ${subjectOf(last)}, whose issuer ${issuer} is not trusted on this machine`,
    hint:
      'if the issuer is an intermediate, the chain is incomplete: append the certificate of the issuer to the file that is served. ' +
      `If the issuer is a private root, save its certificate as certs.d/${key}/ca.crt on each client`,
  }
}

interface SidecarChain {
  readonly last: X509Certificate
  readonly localRoot: ChainChecks['localRoot']
}

function explainOtherSidecar(key: string, { last, localRoot }: SidecarChain): Explanation {
  // A renewed root is sent as a cross certificate, whose fingerprint a person cannot compare with anything.
  const isRenewed = isSidecarCross(last)
  if ('missing' in localRoot) return explainUnknownSidecar(key, last)
  const known = localRoot.certificates.map(({ fingerprint256 }) => fingerprint256).join(', ')
  const fingerprint = isRenewed ? '' : `, SHA-256 ${last.fingerprint256},`
  return {
    text: `the certificate was issued under another root of a registry-sidecar${fingerprint} than the root in ${localRoot.origin} (${known})`,
    hint:
      'the root is an earlier root, or the root of another sidecar: restart the sidecar that uses this state folder, and ' +
      'find out which process listens at that address',
  }
}

function explainUnknownSidecar(key: string, last: X509Certificate): Explanation {
  const [fetch = '', showFingerprint = ''] = fetchCommands(key)
  const install = `sudo ${copyFile(FETCHED_FILE, quoted(`/etc/docker/certs.d/${key}/ca.crt`))}`
  const compare = 'compare the SHA-256 with `registry-sidecar trust` on its machine'
  if (isSidecarCross(last)) {
    return {
      text: 'the renewed root of this registry-sidecar is not trusted on this machine',
      hint: `${fetch} && ${showFingerprint}; ${compare}, then: ${install}`,
    }
  }
  return {
    text: `the root of this registry-sidecar, SHA-256 ${last.fingerprint256}, is not trusted on this machine`,
    hint: `${compare}, then: ${fetch} && ${install}`,
  }
}

const REJECTIONS: Readonly<Record<string, Explanation>> = {
  PERMITTED_VIOLATION: {
    text: 'the name constraints of the root exclude names in the certificate',
    hint: 'SIDECAR_CA_CONSTRAIN limits a root to the names that the settings had when it was issued: start again with an empty state folder',
  },
  INVALID_PURPOSE: {
    text: 'the certificate is not a server certificate',
    hint: 'request a certificate with the extended key usage serverAuth',
  },
}

function explainRejection({ origin, code = '' }: ChainCheck): Explanation {
  const { text, hint } = REJECTIONS[code] ?? {
    text: `OpenSSL rejects the certificate with ${code}`,
    hint: 'request a new certificate',
  }
  return { text: `${text}, although its root is in ${origin}`, ...(hint === undefined ? {} : { hint }) }
}
