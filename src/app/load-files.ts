// Loads the certificate, the users, the access rules and other files.

import { loadRules, type RulesInForce } from '../access/rules-in-force.ts'
import type { RulesReader } from '../access/rules-file/read-rules.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import { loadClientCa, type ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import { openIssuedCertificate } from '../certificates/issued-certificate.ts'
import type { Machine } from '../certificates/names/machine-facts.ts'
import { loadOperatorCertificate } from '../certificates/operator-certificate.ts'
import { operatorFilesOf } from '../certificates/operator-files.ts'
import { openTokenKey } from '../certificates/state-folder/token-key.ts'
import { statePlaceOf } from '../certificates/state-place.ts'
import { openWriteFreeze, type FreezeClock, type WriteFreeze } from '../freeze/write-freeze.ts'
import type { Log } from '../observability/log.ts'
import type { Config } from '../settings/config.ts'
import { loadUsers, type Users } from '../users/users.ts'
import { closeOnFailure } from './shutdown.ts'

export interface Files {
  readonly tokenKey: Buffer
  readonly certificate: CertificateInForce
  readonly users: Users
  readonly clientCa: ClientCaInForce | undefined
  readonly rules: RulesInForce | undefined
  readonly writeFreeze: WriteFreeze
}

export interface LoadOptions {
  readonly log: Log
  readonly rulesReader: () => RulesReader
  readonly freezeClock: FreezeClock
  readonly machine: Machine | undefined
}

/** Rejects when a file is invalid. Then none is left open. */
export async function loadFiles(
  config: Config,
  { log, rulesReader, freezeClock, machine }: LoadOptions,
): Promise<Files> {
  const { stateDir, watchPoll: pollMs } = config
  const operatorFiles = operatorFilesOf(config)
  // Reading the users takes 40 ms, because the file may be changing. The certificate is prepared meanwhile.
  const loadingUsers = loadUsers({ file: config.users, pollMs, log })
  loadingUsers.catch(() => undefined)
  const openingCertificate =
    operatorFiles === undefined
      ? openIssuedCertificate(config, log, { machine })
      : loadOperatorCertificate({ files: operatorFiles, pollMs, log })
  const certificate = await closeOnFailure(openingCertificate, {
    users: { close: async () => (await loadingUsers).close() },
  })
  const users = await closeOnFailure(loadingUsers, { certificate })
  const clientCa = await closeOnFailure(openClientCa(config, log), { certificate, users })
  const rules = await closeOnFailure(openRules(config, { users, log, rulesReader }), {
    certificate,
    users,
    clientCa,
  })
  const open = { certificate, users, clientCa, rules }
  const tokenKey = await closeOnFailure(openTokenKey(statePlaceOf(config), log), open)
  // No address is bound yet, so a freeze also holds the first writes after a restart.
  const writeFreeze = await closeOnFailure(openWriteFreeze({ stateDir, pollMs, log, ...freezeClock }), open)
  return { ...open, tokenKey, writeFreeze }
}

async function openClientCa(config: Config, log: Log): Promise<ClientCaInForce | undefined> {
  const { tlsClientCa: file, watchPoll: pollMs } = config
  return file === undefined ? undefined : loadClientCa({ file, pollMs, log })
}

async function openRules(
  { access: file, watchPoll: pollMs }: Config,
  { users, log, rulesReader }: Pick<LoadOptions, 'log' | 'rulesReader'> & { readonly users: Users },
): Promise<RulesInForce | undefined> {
  if (file === undefined) return undefined
  const usernames = () => (users.isLoaded ? users.table.entries : undefined)
  return loadRules({ file, pollMs, log, usernames, reader: rulesReader() })
}
