// The certificate that we issue ourselves, as the one in force: out of the state folder, and renewed in time.

import type { Config } from '../settings/config.ts'
import { createExpiryWarnings, type ExpiryWarnings } from './expiry-warnings.ts'
import { keepLeafRenewed } from './leaf-renewal.ts'
import type { Log } from '../observability/log.ts'
import { lookAtMachine, type Machine } from './names/machine-facts.ts'
import { watchNames } from './names/name-watch.ts'
import type { CertificateInForce } from './certificate-in-force.ts'
import type { NamesUnder } from './state-folder/authority.ts'
import type { Root } from '../pki/certificate.ts'
import { openKeystore, type Keystore } from './state-folder/keystore.ts'
import { lacksNames, type SubjectAltName } from '../pki/names.ts'
import { createPublicRoot } from './state-folder/public-root.ts'
import { SYSTEM_TIMETABLE, type Timetable } from './timetable.ts'
import { wantedNames, wantedNamesUnder } from './names/wanted-names.ts'

// A leaf comes near its end for two reasons only.
const HINT =
  'if it could not be renewed, see the errors about that; if its root ends with it, `registry-sidecar cert renew --root` ' +
  'gives another one, which clients have to trust before this one ends'

type Settings = Pick<Config, 'stateDir' | 'hosts' | 'caConstrain' | 'watchPoll'>

export interface Surroundings {
  readonly machine?: Machine
  readonly timetable?: Timetable
}

/** Opens the state folder. Rejects with InvalidFileError, with the fix, where a person must act. */
export async function openIssuedCertificate(
  config: Settings,
  log: Log,
  { machine: given, timetable = SYSTEM_TIMETABLE }: Surroundings = {},
): Promise<CertificateInForce> {
  const machine = given ?? (await lookAtMachine())
  const names = namesFor(config, machine, log)
  const keystore = await openKeystore({
    folder: config.stateDir,
    names,
    now: timetable.now(),
    constrainTo: config.caConstrain ? wantedNames(config, machine.names) : undefined,
    log,
  })
  if (config.caConstrain) tellUnlessConstrained(keystore.root, log)
  const publicRoot = createPublicRoot(config.stateDir, log)
  const renewal = await keepLeafRenewed({
    keystore,
    names,
    afterLook: () => publicRoot.publish(keystore.root.pem),
    warnings: warningsFor(keystore, { clock: timetable.now, log }),
    pollMs: config.watchPoll,
    log,
    timetable,
  })
  const { value } = renewal
  const watch = watchNames({
    refresh: () => machine.refresh(),
    lacks: () => lacksNames(keystore.bundle.leaf.subjectAltNames, names(keystore.narrowedRoot)),
    renew: () => renewal.look(),
    timetable,
  })

  return {
    origin: 'issued',
    get current() {
      return value.current.bundle
    },
    get state() {
      return value.state
    },
    get counts() {
      return { renewed: value.counts.changed, failed: value.counts.failed }
    },
    get root() {
      return value.current.root
    },
    onChange: (listener) => {
      value.onChange(({ bundle }) => {
        listener(bundle)
      })
    },
    reload: () => renewal.look(),
    async close() {
      await watch.close()
      await renewal.close()
    },
  }
}

// Trusting another root is work on every client, so a person is told of its end long before.
const ROOT_WARNED_AT_DAYS = [365, 90, 30, 7, 1]
const ROOT_HINT =
  '`registry-sidecar cert renew --root` gives another one; have every client trust that before this one ends'

function warningsFor(
  keystore: Keystore,
  { clock, log }: { readonly clock: () => Date; readonly log: Log },
): ExpiryWarnings {
  const ofLeaf = createExpiryWarnings({ file: keystore.leafFile, clock, log, hint: HINT })
  const ofRoot = createExpiryWarnings({
    file: keystore.root.file,
    clock,
    log,
    hint: ROOT_HINT,
    subject: 'the root',
    atDays: ROOT_WARNED_AT_DAYS,
  })
  return {
    look(leaf) {
      ofLeaf.look(leaf)
      ofRoot.look(keystore.root)
    },
  }
}

// The names are asked for at every look; what is left out is told once.
function namesFor(config: Pick<Settings, 'hosts'>, machine: Machine, log: Log): NamesUnder {
  const told = new Set<string>()
  const tell = (leftOut: readonly SubjectAltName[]): void => {
    const news = leftOut.map(({ value }) => value).filter((value) => !told.has(value))
    if (news.length === 0) return
    for (const value of news) told.add(value)
    const hint = 'clients that use one of them: set SIDECAR_HOSTS and begin again with an empty state folder'
    log.warn(
      { names: news, hint },
      'names of this machine left out of the leaf: its root may not vouch for them',
    )
  }
  return wantedNamesUnder(config, tell, machine.names)
}

function tellUnlessConstrained({ file, permitted }: Root, log: Log): void {
  if (permitted !== undefined) return
  const text =
    'SIDECAR_CA_CONSTRAIN does not change this root, which was issued without it and may vouch for any name'
  const hint = '`registry-sidecar cert renew --root` gives a root that vouches for the wanted names alone'
  log.warn({ file, hint }, text)
}
