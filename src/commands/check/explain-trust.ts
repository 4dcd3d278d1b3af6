// Who vouches for a chain, and where nobody does, why.

import type { X509Certificate } from 'node:crypto'
import { copyFile, fetchCommands, FETCHED_FILE, quoted } from '../../trust/shell-commands.ts'
import { isSidecarCross, isSidecarRoot } from '../trust/certs-file.ts'
import { printable, type Finding } from './finding.ts'
import { subjectOf, type Shown } from './explain-certificate.ts'
import { vouches, type Verdict, type Verdicts } from './verdicts.ts'

export interface Judged extends Shown {
  readonly verdicts: Verdicts
}

/** Whether clients can know the root, and whether those of this machine do. */
export function explainTrust(judged: Judged): readonly Finding[] {
  const { verdicts } = judged
  const { ours, system, folders } = verdicts
  const notes = [...withoutOurs(verdicts), ...loopbackNote(judged)]
  const folder = folders.find(vouches)
  if (!('missing' in ours) && vouches(ours)) {
    const text = `issued under the root in ${ours.origin}`
    return [{ level: 'ok', part: 'trust', text }, ...notes, ...clientsHere(judged)]
  }
  if (vouches(system)) {
    const text = `a root in ${system.origin} vouches for it: clients have nothing to trust`
    return [{ level: 'ok', part: 'trust', text }, ...notes, ...otherThanOurs(judged)]
  }
  if (folder !== undefined) {
    const text = `clients on this machine trust it by ${folder.origin}`
    return [{ level: 'ok', part: 'trust', text }, ...notes, ...otherThanOurs(judged)]
  }
  return [{ level: 'problem', part: 'trust', ...whyNobody(judged) }, ...notes]
}

function withoutOurs({ ours, unreadable }: Verdicts): readonly Finding[] {
  const missing = 'missing' in ours ? [`no sidecar's root to compare with here (${ours.missing})`] : []
  const texts = [
    ...missing.map((text) => `${text}: compared with the roots that this machine trusts`),
    ...unreadable.map((folder) => `${folder} cannot be looked into by this user`),
  ]
  return texts.map((text) => ({ level: 'note', part: 'trust', text }))
}

// dockerd takes these for insecure registries.
function loopbackNote({ target: { name } }: Judged): readonly Finding[] {
  const isLoopback = name.type === 'ip' && (name.value === '::1' || name.value.startsWith('127.'))
  if (!isLoopback) return []
  const text = 'dockerd verifies no certificate on the loopback: this says nothing about other machines'
  return [{ level: 'note', part: 'trust', text }]
}

function clientsHere({ target: { key }, verdicts: { folders } }: Judged): readonly Finding[] {
  const trusting = folders.filter(vouches).map(({ origin }) => origin)
  if (trusting.length > 0) {
    return [
      { level: 'ok', part: 'trust', text: `clients on this machine trust it by ${trusting.join(' and ')}` },
    ]
  }
  const others = folders.map(({ origin }) => origin).join(' and ')
  const text =
    others === ''
      ? `no certs.d folder of this machine is named ${key}: its docker and podman do not trust it yet`
      : `${others} has other roots: docker and podman on this machine do not trust it`
  return [
    { level: 'note', part: 'trust', text, mend: `registry-sidecar trust --install --host ${quoted(key)}` },
  ]
}

function otherThanOurs({ verdicts: { ours } }: Judged): readonly Finding[] {
  if ('missing' in ours) return []
  const text = `it was not issued under the root in ${ours.origin}`
  const mend = 'if this sidecar should be what answers there, see who listens at that address'
  return [{ level: 'note', part: 'trust', text, mend }]
}

type Explanation = Pick<Finding, 'text' | 'mend'>

function whyNobody({ target: { key }, chain, verdicts }: Judged): Explanation {
  const { ours, system, folders } = verdicts
  const anchored = ['missing' in ours ? undefined : ours, ...folders, system].find((one) => one?.isAnchored)
  if (anchored !== undefined) return refusedAll(anchored)
  const last = chain.at(-1) ?? chain[0]
  if (isSidecarRoot(last) || isSidecarCross(last)) return otherSidecar(key, { last, ours })
  if (last.subject === last.issuer) {
    const what = chain.length === 1 ? 'it signs itself' : `its root, ${subjectOf(last)},`
    return {
      text: `${what} and is not known here (SHA-256 ${last.fingerprint256})`,
      mend: `if that is the SHA-256 that its operator names, have clients trust it: as ca.crt in certs.d/${key}`,
    }
  }
  const issuer = printable(last.issuer.replaceAll('\n', ', '))
  return {
    text: `its chain ends at ${subjectOf(last)}, which ${issuer} issued, and nobody here knows that one`,
    mend:
      `the chain is incomplete if that is an intermediate: append its certificate to the file that is served, leaf first. ` +
      `If it is a private root, have clients trust it: as ca.crt in certs.d/${key}`,
  }
}

interface Other {
  readonly last: X509Certificate
  readonly ours: Verdicts['ours']
}

function otherSidecar(key: string, { last, ours }: Other): Explanation {
  // A renewed root is not sent itself, and its cross certificate has a fingerprint that nobody could find anywhere else.
  const isRenewed = isSidecarCross(last)
  if ('missing' in ours) {
    const [fetch = '', showFingerprint = ''] = fetchCommands(key)
    const install = `sudo ${copyFile(FETCHED_FILE, quoted(`/etc/docker/certs.d/${key}/ca.crt`))}`
    if (isRenewed) {
      return {
        text: 'the root of this registry-sidecar, which followed an earlier one, is not trusted on this machine',
        mend:
          `${fetch} && ${showFingerprint}; compare that with \`registry-sidecar trust\` where it runs, ` +
          `then: ${install}`,
      }
    }
    return {
      text: `the root of this registry-sidecar, SHA-256 ${last.fingerprint256}, is not trusted on this machine`,
      mend: `compare that with \`registry-sidecar trust\` where it runs, then: ${fetch} && ${install}`,
    }
  }
  const here = ours.certificates.map(({ fingerprint256 }) => fingerprint256).join(', ')
  const which = isRenewed ? '' : `, SHA-256 ${last.fingerprint256},`
  return {
    text: `it was issued under another root of a registry-sidecar${which} than lies in ${ours.origin} (${here})`,
    mend: 'it is an earlier root, or another sidecar: start the one that runs on this state folder again, and see who listens at that address',
  }
}

const REASONS: Readonly<Record<string, Explanation>> = {
  PERMITTED_VIOLATION: {
    text: 'its root may not vouch for these names',
    mend: 'a root issued under SIDECAR_CA_CONSTRAIN vouches for the names of that time: begin again with an empty state folder',
  },
  INVALID_PURPOSE: { text: 'it was not made for servers', mend: 'have one issued with the usage serverAuth' },
}

function refusedAll({ origin, code = '' }: Verdict): Explanation {
  const { text, mend } = REASONS[code] ?? {
    text: `OpenSSL refuses it with ${code}`,
    mend: 'have it issued anew',
  }
  return { text: `${text}, though ${origin} has its root`, ...(mend === undefined ? {} : { mend }) }
}
