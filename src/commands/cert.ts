// The certificate for a person: what is served and until when, and a new leaf on demand.

import { resolve } from 'node:path'
import type { Config } from '../config.ts'
import { CommandError } from '../errors.ts'
import { ownFilesOf } from '../own-files.ts'
import { readSettled } from '../reload/settled-file.ts'
import { parseLeaf, renewalStart, type LeafFacts, type Root } from '../tls/certificate.ts'
import { readLeaf, readRoot, renewLeaf } from '../tls/keystore.ts'
import { parseOwnChain } from '../tls/own-bundle.ts'
import { wantedNamesUnder } from '../wanted-names.ts'
import type { ExitCode, World } from './world.ts'

export interface CertRequest {
  readonly config: Config
  /** One JSON document instead of text. */
  readonly json: boolean
  readonly clock?: () => Date
}

/** Prints what is served and until when. Rejects with InvalidFileError when there is nothing to serve. */
export async function showCert({ config, json, clock = now }: CertRequest, world: World): Promise<ExitCode> {
  const served = await readServed(config)
  print(world, json ? [JSON.stringify(documentOf(served, clock()))] : linesOf(served, clock()))
  return 0
}

export interface RenewRequest extends CertRequest {
  /** A new root as well. */
  readonly root: boolean
}

/**
 * Issues a new leaf under the same root, which sidecars that run on the state folder serve within two seconds. Rejects
 * with InvalidFileError, and changes nothing, when the folder holds no root to issue it under or cannot be written.
 */
export async function renewCert(request: RenewRequest, world: World): Promise<ExitCode> {
  const { config, root: isRootAsked, json, clock = now } = request
  const own = ownFilesOf(config)
  if (own !== undefined) {
    throw new CommandError(
      `${own.certFile} was issued elsewhere and is renewed there: SIDECAR_TLS_CERT names it`,
    )
  }
  if (isRootAsked) throw new CommandError(NO_ROOT_RENEWAL)
  const wanted = { folder: config.stateDir, names: wantedNamesUnder(config, () => undefined), now: clock() }
  const renewed: Served = { origin: 'issued', ...(await renewLeaf(wanted)) }
  if (json) print(world, [JSON.stringify(documentOf(renewed, clock()))])
  else
    print(world, [
      'leaf renewed under the same root',
      '',
      ...linesOf(renewed, clock()),
      '',
      ...whatIsNext(config, renewed),
    ])
  return 0
}

const NO_ROOT_RENEWAL =
  '--root is not there yet, and nothing was changed: `cert renew` without it gives a new leaf under the same root'

interface Served {
  readonly origin: 'issued' | 'own'
  readonly file: string
  readonly leaf: LeafFacts
  /** Undefined when another issued the certificate and its root is not in the chain. */
  readonly root: Root | undefined
}

async function readServed(config: Config): Promise<Served> {
  const own = ownFilesOf(config)
  if (own === undefined) {
    // The root first: a folder without one has more to mend than its leaf.
    const root = await readRoot(config.stateDir)
    return { origin: 'issued', ...(await readLeaf(config.stateDir)), root }
  }
  const { certFile } = own
  const { pem, anchor } = parseOwnChain((await readSettled(certFile)).toString(), certFile)
  return { origin: 'own', file: certFile, leaf: parseLeaf(pem, certFile), root: anchor }
}

const DAY_MS = 86_400_000

function documentOf({ origin, file, leaf, root }: Served, at: Date) {
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
  }
}

function documentOfRoot({ file, fingerprint, notAfter, permitted }: Root) {
  const names = permitted?.map(({ value }) => value) ?? null
  return { path: resolve(file), fingerprint, notAfter, permitted: names }
}

function linesOf({ origin, file, leaf, root }: Served, at: Date): readonly string[] {
  const days = daysLeft(leaf, at)
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
  ]
}

function renewalOf(served: Omit<Served, 'file'>): string {
  if (served.origin === 'own') return 'by whoever issued it: not done here'
  const start = renewedFrom(served)
  return start === undefined
    ? 'none: it ends with its root'
    : `from ${dayOf(start)} on, by the running sidecar; clients notice nothing`
}

function renewedFrom({ origin, leaf, root }: Omit<Served, 'file'>): Date | undefined {
  return origin === 'own' || root === undefined ? undefined : renewalStart(leaf, root)
}

function whatIsNext({ hosts }: Config, { leaf }: Served): readonly string[] {
  const carried = new Set(leaf.subjectAltNames.map(({ value }) => value))
  const missing = hosts.filter(({ value }) => !carried.has(value)).map(({ value }) => value)
  const next = 'A sidecar that runs on this folder serves it within 2 seconds. Clients need to do nothing.'
  if (missing.length === 0) return [next]
  return [
    next,
    `The names stay as they were. A sidecar started with this SIDECAR_HOSTS adds ${missing.join(', ')}.`,
  ]
}

function daysLeft({ notAfter }: LeafFacts, at: Date): number {
  return Math.floor((notAfter.getTime() - at.getTime()) / DAY_MS)
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}

function now(): Date {
  return new Date()
}

function print({ stdout }: World, lines: readonly string[]): void {
  stdout.write(lines.map((line) => `${line}\n`).join(''))
}
