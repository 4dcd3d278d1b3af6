// The certificate for a person: what is served and until when, and a new leaf on demand.

import type { Config } from '../../settings/config.ts'
import { CommandError } from '../../errors/errors.ts'
import { operatorFilesOf } from '../../certificates/operator-files.ts'
import { readSettled } from '../../files/settled-file.ts'
import { BEGIN_AGAIN, leafFacts } from '../../pki/certificate.ts'
import { GIVE_UP_EARLIER, narrowed } from '../../pki/cross-certificates.ts'
import { readAuthority, readLeaf, renewLeaf, renewRoot } from '../../certificates/state-folder/keystore.ts'
import { notPermitted } from '../../pki/name-constraints.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { parseOwnChain } from '../../pki/own-bundle.ts'
import { wantedNames, wantedNamesUnder } from '../../certificates/names/wanted-names.ts'
import { documentOf, linesOf, type Served } from './cert-report.ts'
import { dayOf } from '../calendar-day.ts'
import type { ExitCode, World } from '../../app/world.ts'

export interface CertRequest {
  readonly config: Config
  /** One JSON document instead of text. */
  readonly json: boolean
  readonly clock?: () => Date
}

/** Prints what is served and until when. Rejects with InvalidFileError when there is nothing to serve. */
export async function showCert({ config, json, clock = now }: CertRequest, world: World): Promise<ExitCode> {
  const served = await readServed(config, clock())
  print(world, json ? [JSON.stringify(documentOf(served, clock()))] : linesOf(served, clock()))
  return 0
}

export interface RenewRequest extends CertRequest {
  /** A new root as well. */
  readonly root: boolean
}

/**
 * Issues a new leaf, and a new root before it if that is asked for, which sidecars that run on the state folder serve
 * within two seconds. Rejects with InvalidFileError when the folder holds no root to begin with, or cannot be written.
 */
export async function renewCert(request: RenewRequest, world: World): Promise<ExitCode> {
  const { config, root: isRootAsked, json, clock = now } = request
  const own = operatorFilesOf(config)
  if (own !== undefined) {
    throw new CommandError(
      `${own.certFile} was issued elsewhere and is renewed there: SIDECAR_TLS_CERT names it`,
    )
  }
  const names = wantedNamesUnder(config, () => undefined)
  const wanted = { folder: config.stateDir, names, now: clock() }
  const constrainTo = config.caConstrain ? wantedNames(config) : undefined
  const issued = await (isRootAsked ? renewRoot({ ...wanted, constrainTo }) : renewLeaf(wanted))
  const renewed: Served = { origin: 'issued', ...issued }
  const trustBy = isRootAsked ? renewed.earlier[0]?.notAfter : undefined
  if (json) {
    const clients = { trustRootBy: trustBy ?? null }
    print(world, [JSON.stringify({ ...documentOf(renewed, clock()), clients })])
    return 0
  }
  print(world, [
    isRootAsked ? 'root renewed, and a leaf under it' : 'leaf renewed under the same root',
    '',
    ...linesOf(renewed, clock()),
    '',
    ...(trustBy === undefined
      ? [`${SERVED_SOON} Clients need to do nothing.`]
      : [SERVED_SOON, ...whatClientsDo(trustBy)]),
    ...namesNotCarried(config, renewed),
  ])
  return 0
}

async function readServed(config: Config, at: Date): Promise<Served> {
  const own = operatorFilesOf(config)
  if (own === undefined) {
    // The root first: a folder without one has more to fix than its leaf.
    const authority = await readAuthority(config.stateDir, at)
    return { origin: 'issued', ...(await readLeaf(config.stateDir)), ...authority }
  }
  const { certFile } = own
  const { certificates, anchor } = parseOwnChain((await readSettled(certFile)).toString(), certFile)
  return { origin: 'own', file: certFile, leaf: leafFacts(certificates[0]), root: anchor, earlier: [] }
}

const SERVED_SOON = 'A sidecar that runs on this folder serves it within 2 seconds.'

function whatClientsDo(trustBy: Date): readonly string[] {
  return [
    `Nothing breaks: until ${dayOf(trustBy)} clients that trust only the root before it accept the new leaf too. Have each`,
    'of them trust the new root by then, beside the other or instead: `registry-sidecar trust` says how.',
    'That is no help when the key of the root before was stolen, for clients that trust that root go on to do so: then',
    `${BEGIN_AGAIN}.`,
  ]
}

function namesNotCarried({ hosts }: Config, { leaf, root, earlier }: Served): readonly string[] {
  const carried = new Set(leaf.subjectAltNames.map(({ value }) => value))
  const missing = hosts.filter(({ value }) => !carried.has(value))
  if (missing.length === 0 || root === undefined) return []
  const list = (names: readonly SubjectAltName[]) => names.map(({ value }) => value).join(', ')
  const barred = notPermitted(missing, narrowed({ root, earlier }).permitted)
  if (barred.length === 0) {
    return [`The names stay as they were. A sidecar started with this SIDECAR_HOSTS adds ${list(missing)}.`]
  }
  const isRootWide = notPermitted(barred, root.permitted).length === 0
  return [
    `The names stay as they were. A sidecar does not start with ${list(barred)} in its SIDECAR_HOSTS, for which`,
    isRootWide
      ? `the root before it may not vouch; ${GIVE_UP_EARLIER}.`
      : 'its root may not vouch: `registry-sidecar cert renew --root` gives one that may.',
  ]
}

function now(): Date {
  return new Date()
}

function print({ stdout }: World, lines: readonly string[]): void {
  stdout.write(lines.map((line) => `${line}\n`).join(''))
}
