// What a person, or a program, is told of the certificate that is served.

import { resolve } from 'node:path'
import { leafDaysLeft } from '../../app/readiness.ts'
import { renewalStart, type LeafFacts, type Root } from '../../pki/certificate.ts'
import type { EarlierRoot } from '../../pki/cross-certificates.ts'
import { dayOf } from '../calendar-day.ts'

/** What is served, as far as a person wants to know. */
export interface Served {
  readonly origin: 'issued' | 'own'
  readonly file: string
  readonly leaf: LeafFacts
  /** Undefined when another issued the certificate and its root is not in the chain. */
  readonly root: Root | undefined
  /** Roots from before a renewal: clients that trust one of them alone accept what is served too. */
  readonly earlier: readonly EarlierRoot[]
}

/** For --json. */
export function documentOf({ origin, file, leaf, root, earlier }: Served, at: Date) {
  const { subjectAltNames, fingerprint, notBefore, notAfter } = leaf
  return {
    origin,
    leaf: {
      path: resolve(file),
      names: subjectAltNames.map(({ value }) => value),
      fingerprint,
      notBefore,
      notAfter,
      daysLeft: leafDaysLeft(leaf, at),
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

export function linesOf({ origin, file, leaf, root, earlier }: Served, at: Date): readonly string[] {
  const days = leafDaysLeft(leaf, at)
  const left = leaf.notAfter <= at ? 'expired' : `${days} days left`
  return [
    `leaf         ${resolve(file)}`,
    `names        ${leaf.subjectAltNames.map(({ value }) => value).join(', ')}`,
    `SHA-256      ${leaf.fingerprint}`,
    `valid from   ${dayOf(leaf.notBefore)}`,
    `valid until  ${dayOf(leaf.notAfter)} (${left})`,
    `renewal      ${renewalOf({ origin, leaf, root })}`,
    '',
    ...(root === undefined
      ? ['root         not in the chain: its issuer has it']
      : [
          `root         ${resolve(root.file)}`,
          `SHA-256      ${root.fingerprint}`,
          `valid until  ${dayOf(root.notAfter)}`,
          `vouches for  ${root.permitted?.map(({ value }) => value).join(', ') ?? 'any name'}`,
        ]),
    ...earlier.map(lineOfEarlier),
  ]
}

function lineOfEarlier({ fingerprint, notAfter, permitted }: EarlierRoot): string {
  const names = permitted?.map(({ value }) => value).join(', ')
  const only = names === undefined ? '' : `, for ${names} only`
  return `also reached from: ${fingerprint} until ${dayOf(notAfter)}${only}`
}

function renewalOf(served: Pick<Served, 'origin' | 'leaf' | 'root'>): string {
  if (served.origin === 'own') return 'by whoever issued it: not done here'
  const start = renewedFrom(served)
  return start === undefined
    ? 'none: it ends with its root'
    : `from ${dayOf(start)} on, by the running sidecar; clients notice nothing`
}

function renewedFrom({ origin, leaf, root }: Pick<Served, 'origin' | 'leaf' | 'root'>): Date | undefined {
  return origin === 'own' || root === undefined ? undefined : renewalStart(leaf, root)
}
