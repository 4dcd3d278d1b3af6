// Runs `cert show` and `cert renew`.

import type { Config } from '../../settings/config.ts'
import { CommandError } from '../../errors/errors.ts'
import { operatorFilesOf } from '../../certificates/operator-files.ts'
import { readSettled } from '../../files/settled-file.ts'
import { START_OVER, leafFacts } from '../../pki/certificate.ts'
import { DROP_EARLIER_ROOTS, withIntersectedConstraints } from '../../pki/cross-certificates.ts'
import { renewLeaf, renewRoot } from '../../certificates/state-folder/keystore.ts'
import { readAuthority, readLeaf } from '../../certificates/state-folder/stored-state.ts'
import { statePlaceOf } from '../../certificates/state-place.ts'
import { notPermitted } from '../../pki/name-constraints.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import { parseChain } from '../../pki/operator-bundle.ts'
import { wantedNames, wantedNamesUnder } from '../../certificates/names/wanted-names.ts'
import { documentOf, linesOf, type ServedCertificate } from './cert-report.ts'
import { dayOf } from '../calendar-day.ts'
import type { ExitCode, World } from '../../app/world.ts'

export interface CertRequest {
  readonly config: Config
  readonly json: boolean
  readonly clock?: () => Date
}

/** Rejects with InvalidFileError if there is no certificate. */
export async function showCert({ config, json, clock = now }: CertRequest, world: World): Promise<ExitCode> {
  const served = await readServed(config, clock())
  print(world, json ? [JSON.stringify(documentOf(served, clock()))] : linesOf(served, clock()))
  return 0
}

export interface RenewRequest extends CertRequest {
  readonly root: boolean
}

/** Running sidecars serve the leaf within two seconds. Rejects with InvalidFileError for an unusable state folder. */
export async function renewCert(request: RenewRequest, world: World): Promise<ExitCode> {
  const { config, root: withRoot, json, clock = now } = request
  const operatorFiles = operatorFilesOf(config)
  if (operatorFiles !== undefined) {
    throw new CommandError(
      `the sidecar cannot renew ${operatorFiles.certFile}, because another CA issued it (SIDECAR_TLS_CERT)`,
    )
  }
  const names = wantedNamesUnder(config, () => undefined)
  const wanted = { ...statePlaceOf(config), names, now: clock() }
  const constrainTo = config.caConstrain ? wantedNames(config) : undefined
  const issued = await (withRoot ? renewRoot({ ...wanted, constrainTo }) : renewLeaf(wanted))
  const renewed: ServedCertificate = { origin: 'issued', ...issued }
  const trustBy = withRoot ? renewed.earlier[0]?.notAfter : undefined
  if (json) {
    const clients = { trustRootBy: trustBy ?? null }
    print(world, [JSON.stringify({ ...documentOf(renewed, clock()), clients })])
    return 0
  }
  print(world, [
    withRoot ? 'issued a new root and a new leaf' : 'issued a new leaf; the root is the same',
    '',
    ...linesOf(renewed, clock()),
    '',
    ...(trustBy === undefined
      ? [`${SERVED_SOON} Nothing changes for clients.`]
      : [SERVED_SOON, ...clientSteps(trustBy)]),
    ...namesNotCarried(config, renewed),
  ])
  return 0
}

async function readServed(config: Config, at: Date): Promise<ServedCertificate> {
  const operatorFiles = operatorFilesOf(config)
  if (operatorFiles === undefined) {
    // Reads the root first, because a missing root is the more important error.
    const place = statePlaceOf(config)
    const authority = await readAuthority(place, at)
    return { origin: 'issued', ...(await readLeaf(place)), ...authority }
  }
  const { certFile } = operatorFiles
  const { certificates, anchor } = parseChain((await readSettled(certFile)).toString(), certFile)
  return { origin: 'own', file: certFile, leaf: leafFacts(certificates[0]), root: anchor, earlier: [] }
}

const SERVED_SOON = 'A sidecar that uses this state folder serves the new leaf within 2 seconds.'

function clientSteps(trustBy: Date): readonly string[] {
  return [
    `Until ${dayOf(trustBy)}, clients that trust only the earlier root accept the new leaf too. Make every client trust`,
    'the new root before that day: `registry-sidecar trust` shows how.',
    'If the key of the earlier root was stolen, this is not enough, because clients still trust that root. Then',
    `${START_OVER}.`,
  ]
}

function namesNotCarried({ hosts }: Config, { leaf, root, earlier }: ServedCertificate): readonly string[] {
  const carried = new Set(leaf.subjectAltNames.map(({ value }) => value))
  const missing = hosts.filter(({ value }) => !carried.has(value))
  if (missing.length === 0 || root === undefined) return []
  const list = (names: readonly SubjectAltName[]) => names.map(({ value }) => value).join(', ')
  const forbidden = notPermitted(missing, withIntersectedConstraints({ root, earlier }).permitted)
  if (forbidden.length === 0) {
    return [`The names are unchanged. A sidecar started with this SIDECAR_HOSTS adds ${list(missing)}.`]
  }
  const doesRootPermit = notPermitted(forbidden, root.permitted).length === 0
  return [
    `The names are unchanged. A sidecar does not start with ${list(forbidden)} in its SIDECAR_HOSTS, because`,
    doesRootPermit
      ? `an earlier root does not permit it; ${DROP_EARLIER_ROOTS}.`
      : 'the root does not permit it: `registry-sidecar cert renew --root` issues a root that does.',
  ]
}

function now(): Date {
  return new Date()
}

function print({ stdout }: World, lines: readonly string[]): void {
  stdout.write(lines.map((line) => `${line}\n`).join(''))
}
