// Opens the issued certificate from the state folder, and keeps it renewed.

import type { Config } from '../settings/config.ts'
import { createExpiryWarnings, type ExpiryWarnings } from './expiry-warnings.ts'
import { keepLeafRenewed } from './leaf-renewal.ts'
import type { Log } from '../observability/log.ts'
import { lookAtMachine, type Machine } from './names/machine-facts.ts'
import { watchNames } from './names/name-watch.ts'
import { createCertificateInForce, type CertificateInForce } from './certificate-in-force.ts'
import type { NamesUnder } from './state-folder/authority.ts'
import type { Root } from '../pki/certificate.ts'
import { openKeystore, type Keystore } from './state-folder/keystore.ts'
import { lacksNames, type SubjectAltName } from '../pki/names.ts'
import { createPublicRoot } from './state-folder/public-root.ts'
import { statePlaceOf } from './state-place.ts'
import { SYSTEM_TIMETABLE, type Timetable } from '../async/timetable.ts'
import { wantedNames, wantedNamesUnder } from './names/wanted-names.ts'

// A leaf comes near its expiry only if it cannot be renewed, or if its root expires.
const HINT =
  'if the renewal of the leaf failed, see the errors in the log; if the root expires at the same time, run ' +
  '`registry-sidecar cert renew --root` and make clients trust the new root before the old one expires'

type Settings = Pick<Config, 'stateDir' | 'rootDir' | 'hosts' | 'caConstrain' | 'watchPoll'>

export interface Surroundings {
  readonly machine?: Machine | undefined
  readonly timetable?: Timetable
}

/** Rejects with an InvalidFileError if a person must act. */
export async function openIssuedCertificate(
  config: Settings,
  log: Log,
  { machine: given, timetable = SYSTEM_TIMETABLE }: Surroundings = {},
): Promise<CertificateInForce> {
  const machine = given ?? (await lookAtMachine())
  const names = namesFor(config, machine, log)
  const place = statePlaceOf(config)
  const keystore = await openKeystore({
    ...place,
    names,
    now: timetable.now(),
    constrainTo: config.caConstrain ? wantedNames(config, machine.names) : undefined,
    log,
  })
  if (config.caConstrain) warnUnlessConstrained(keystore.root, log)
  const publicRoot = createPublicRoot(place, log)
  const renewal = await keepLeafRenewed({
    keystore,
    names,
    afterLook: () => publicRoot.publish(keystore.root.pem),
    warnings: warningsFor(keystore, { clock: timetable.now, log }),
    pollMs: config.watchPoll,
    log,
    timetable,
  })
  const watch = watchNames({
    refresh: () => machine.refresh(),
    lacks: () => lacksNames(keystore.bundle.leaf.subjectAltNames, names(keystore.narrowedRoot)),
    renew: () => renewal.look(),
    timetable,
  })

  return createCertificateInForce({
    origin: 'issued',
    value: renewal.value,
    rootOf: ({ root }) => root,
    reload: () => renewal.look(),
    async close() {
      await watch.close()
      await renewal.close()
    },
  })
}

// A new root needs work on every client, so the first warning comes a year before the root expires.
const ROOT_WARNED_AT_DAYS = [365, 90, 30, 7, 1]
const ROOT_HINT =
  '`registry-sidecar cert renew --root` issues a new root; make every client trust the new root before the old one expires'

function warningsFor(
  keystore: Keystore,
  { clock, log }: { readonly clock: () => Date; readonly log: Log },
): ExpiryWarnings {
  const leafWarnings = createExpiryWarnings({ file: keystore.leafFile, clock, log, hint: HINT })
  const rootWarnings = createExpiryWarnings({
    file: keystore.root.file,
    clock,
    log,
    hint: ROOT_HINT,
    subject: 'the root',
    atDays: ROOT_WARNED_AT_DAYS,
  })
  return {
    look(leaf) {
      leafWarnings.look(leaf)
      rootWarnings.look(keystore.root)
    },
  }
}

// Reads the names at every look, but logs a name that is left out only once.
function namesFor(config: Pick<Settings, 'hosts'>, machine: Machine, log: Log): NamesUnder {
  const logged = new Set<string>()
  const warn = (leftOut: readonly SubjectAltName[]): void => {
    const names = leftOut.map(({ value }) => value).filter((value) => !logged.has(value))
    if (names.length === 0) return
    for (const value of names) logged.add(value)
    const hint = 'if clients use one of them, set SIDECAR_HOSTS and start again with an empty state folder'
    log.warn(
      { event: 'names-left-out', names, hint },
      'names of this machine are left out of the leaf, because its root is not valid for them',
    )
  }
  return wantedNamesUnder(config, warn, machine.names)
}

function warnUnlessConstrained({ file, permitted }: Root, log: Log): void {
  if (permitted !== undefined) return
  const text =
    'SIDECAR_CA_CONSTRAIN does not change this root: the root was issued without it and is valid for any name'
  const hint = '`registry-sidecar cert renew --root` issues a root that is valid only for the wanted names'
  log.warn({ event: 'root-not-constrained', file, hint }, text)
}
