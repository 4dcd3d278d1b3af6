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
  const folder = folders.find(isTrusted)
  if (!('missing' in localRoot) && isTrusted(localRoot)) {
    const text = `issued under the root in ${localRoot.origin}`
    return [{ level: 'ok', part: 'trust', text }, ...notes, explainLocalClients(certificate)]
  }
  if (isTrusted(system)) {
    const text = `it chains to a root in ${system.origin}: clients need nothing else`
    return [{ level: 'ok', part: 'trust', text }, ...notes, ...noteOtherRoot(certificate)]
  }
  if (folder !== undefined) {
    const text = `clients on this machine trust it because of ${folder.origin}`
    return [{ level: 'ok', part: 'trust', text }, ...notes, ...noteOtherRoot(certificate)]
  }
  return [{ level: 'problem', part: 'trust', ...explainUntrusted(certificate) }, ...notes]
}

function noteMissingRoots({ localRoot, unreadable }: ChainChecks): readonly Finding[] {
  const texts = unreadable.map((folder) => `this user cannot read ${folder}`)
  if ('missing' in localRoot) {
    texts.unshift(
      `no root of a sidecar found here (${localRoot.missing}): compared with the roots that this machine trusts`,
    )
  }
  return texts.map((text) => ({ level: 'note', part: 'trust', text }))
}

function noteLoopback({ target: { name } }: CheckedCertificate): readonly Finding[] {
  if (!isLoopbackAddress(name.value)) return []
  const text = 'dockerd does not verify certificates on loopback addresses, but it does on other machines'
  return [{ level: 'note', part: 'trust', text }]
}

function explainLocalClients({ target: { key }, checks: { folders } }: CheckedCertificate): Finding {
  const trusting = folders.filter(isTrusted).map(({ origin }) => origin)
  if (trusting.length > 0) {
    const text = `clients on this machine trust it because of ${trusting.join(' and ')}`
    return { level: 'ok', part: 'trust', text }
  }
  const others = folders.map(({ origin }) => origin).join(' and ')
  const text =
    others === ''
      ? `no certs.d folder of this machine is named ${key}: its docker and podman do not trust it yet`
      : `${others} has other roots: docker and podman on this machine do not trust it`
  return {
    level: 'note',
    part: 'trust',
    text,
    hint: `registry-sidecar trust --install --host ${quoted(key)}`,
  }
}

function noteOtherRoot({ checks: { localRoot } }: CheckedCertificate): readonly Finding[] {
  if ('missing' in localRoot) return []
  const text = `it was not issued under the root in ${localRoot.origin}`
  const hint = 'if this sidecar should answer there, find out which process listens at that address'
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
    const subject = chain.length === 1 ? 'it is self-signed and' : `its root, ${subjectOf(last)},`
    return {
      text: `${subject} is not known here (SHA-256 ${last.fingerprint256})`,
      hint: `if its operator confirms this SHA-256, make clients trust it: as ca.crt in certs.d/${key}`,
    }
  }
  const issuer = printable(last.issuer.replaceAll('\n', ', '))
  return {
    text: `its chain ends at ${subjectOf(last)}, whose issuer ${issuer} is not known here`,
    hint:
      'if the issuer is an intermediate, the chain is incomplete: append the certificate of the issuer to the file that is served. ' +
      `If the issuer is a private root, make clients trust it: as ca.crt in certs.d/${key}`,
  }
}

interface SidecarChain {
  readonly last: X509Certificate
  readonly localRoot: ChainChecks['localRoot']
}

function explainOtherSidecar(key: string, { last, localRoot }: SidecarChain): Explanation {
  // The server sends a cross certificate instead of a renewed root; its fingerprint appears nowhere else.
  const isRenewed = isSidecarCross(last)
  if ('missing' in localRoot) return explainUnknownSidecar(key, last)
  const known = localRoot.certificates.map(({ fingerprint256 }) => fingerprint256).join(', ')
  const fingerprint = isRenewed ? '' : `, SHA-256 ${last.fingerprint256},`
  return {
    text: `it was issued under another root of a registry-sidecar${fingerprint} than the one in ${localRoot.origin} (${known})`,
    hint:
      'it is an earlier root or another sidecar: restart the sidecar that uses this state folder, and find out ' +
      'which process listens at that address',
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
    text: 'the name constraints of its root exclude these names',
    hint: 'SIDECAR_CA_CONSTRAIN limits a root to the names that were wanted when it was issued: begin again with an empty state folder',
  },
  INVALID_PURPOSE: {
    text: 'it is not a server certificate',
    hint: 'have one issued with the extended key usage serverAuth',
  },
}

function explainRejection({ origin, code = '' }: ChainCheck): Explanation {
  const { text, hint } = REJECTIONS[code] ?? {
    text: `OpenSSL rejects it with ${code}`,
    hint: 'have it issued again',
  }
  return { text: `${text}, although ${origin} has its root`, ...(hint === undefined ? {} : { hint }) }
}
