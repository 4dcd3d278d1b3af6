// Formats the output of `cert`.

import { resolve } from 'node:path'
import { daysLeft } from '../../app/readiness.ts'
import { renewalStart, type LeafFacts, type Root } from '../../pki/certificate.ts'
import type { EarlierRoot } from '../../pki/cross-certificates.ts'
import { dayOf } from '../calendar-day.ts'

export interface ServedCertificate {
  readonly origin: 'issued' | 'own'
  readonly file: string
  readonly leaf: LeafFacts
  /** Undefined when the operator's chain does not end in its root. */
  readonly root: Root | undefined
  /** Roots from before a renewal. Clients that trust only an earlier root accept the leaf too. */
  readonly earlier: readonly EarlierRoot[]
}

export function documentOf({ origin, file, leaf, root, earlier }: ServedCertificate, at: Date) {
  const { subjectAltNames, fingerprint, notBefore, notAfter } = leaf
  return {
    origin,
    leaf: {
      path: resolve(file),
      names: subjectAltNames.map(({ value }) => value),
      fingerprint,
      notBefore,
      notAfter,
      daysLeft: daysLeft(leaf, at),
      renewedFrom: renewedFrom({ origin, leaf, root }) ?? null,
    },
    root: root === undefined ? null : documentOfRoot(root),
    earlierRoots: earlier.map(({ fingerprint, notAfter, permitted }) => ({
      fingerprint,
      notAfter,
      permitted: permitted?.map(({ value }) => value) ?? null,
    })),
  }
}

function documentOfRoot({ file, fingerprint, notAfter, permitted }: Root) {
  const names = permitted?.map(({ value }) => value) ?? null
  return { path: resolve(file), fingerprint, notAfter, permitted: names }
}

export function linesOf(
  { origin, file, leaf, root, earlier }: ServedCertificate,
  at: Date,
): readonly string[] {
  const days = daysLeft(leaf, at)
  const timeLeft = leaf.notAfter <= at ? 'expired' : `${days} days left`
  return [
    `leaf         ${resolve(file)}`,
    `names        ${leaf.subjectAltNames.map(({ value }) => value).join(', ')}`,
    `SHA-256      ${leaf.fingerprint}`,
    `valid from   ${dayOf(leaf.notBefore)}`,
    `valid until  ${dayOf(leaf.notAfter)} (${timeLeft})`,
    `renewal      ${renewalOf({ origin, leaf, root })}`,
    '',
    ...(root === undefined
      ? ['root         not in the chain; get it from the issuer']
      : [
          `root         ${resolve(root.file)}`,
          `SHA-256      ${root.fingerprint}`,
          `valid until  ${dayOf(root.notAfter)}`,
          `permits      ${root.permitted?.map(({ value }) => value).join(', ') ?? 'any name'}`,
        ]),
    ...earlier.map(lineOfEarlier),
  ]
}

function lineOfEarlier({ fingerprint, notAfter, permitted }: EarlierRoot): string {
  const names = permitted?.map(({ value }) => value).join(', ')
  const only = names === undefined ? '' : `, for ${names} only`
  return `earlier root ${fingerprint} until ${dayOf(notAfter)}${only}`
}

function renewalOf(served: Pick<ServedCertificate, 'origin' | 'leaf' | 'root'>): string {
  if (served.origin === 'own') return 'by its issuer; the sidecar cannot renew it'
  const start = renewedFrom(served)
  return start === undefined
    ? 'none, because the leaf expires together with its root'
    : `from ${dayOf(start)}, by the running sidecar; clients do not notice`
}

function renewedFrom({
  origin,
  leaf,
  root,
}: Pick<ServedCertificate, 'origin' | 'leaf' | 'root'>): Date | undefined {
  return origin === 'own' || root === undefined ? undefined : renewalStart(leaf, root)
}
