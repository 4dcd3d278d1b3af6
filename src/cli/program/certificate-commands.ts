// Defines the `cert` commands and `trust`.

import { Option, type Command } from 'commander'
import { trustClients } from '../../client-setup/clients.ts'
import {
  collect,
  configInForce,
  configOf,
  textsOf,
  withJson,
  withSettings,
  type Flags,
  type Wiring,
} from './wiring.ts'

export function addCertCommands(program: Command, { world, finish }: Wiring): void {
  const cert = program.command('cert').description('show or renew the certificate')
  const request = (flags: Flags) => ({ config: configOf(world, flags), json: flags['json'] === true })

  const show = withJson(cert.command('show').description('show the certificate and how long it is valid'))
  withSettings(show, ['stateDir', 'rootDir', 'tlsCert', 'tlsKey']).action(async (flags: Flags) => {
    const { showCert } = await import('../commands.ts')
    finish(await showCert(request(flags), world))
  })
  const renew = cert
    .command('renew')
    .description('issue a new leaf now; a running sidecar serves it within 2 seconds')
    .option(
      '--root',
      'issue a new root too; clients that trust the old root can still connect until the old root expires',
    )
  withSettings(withJson(renew), ['stateDir', 'rootDir', 'hosts', 'caConstrain']).action(
    async (flags: Flags) => {
      const { renewCert } = await import('../commands.ts')
      finish(await renewCert({ ...request(flags), root: flags['root'] === true }, world))
    },
  )
}

export function addTrustCommand(program: Command, { world, finish }: Wiring): void {
  const command = program
    .command('trust')
    .description('show how to make clients trust the root certificate')
    .option(
      '--host <host:port>',
      'the name that clients use for the registry; may be given several times',
      collect,
    )
    .addOption(new Option('--client <name...>', 'show the commands for this client').choices(clientNames()))
    .option('--all', 'show the commands for every client, not only for those found on this machine')
    .option('--install', "write the root into this machine's certs.d folders")
    .option('--uninstall', 'remove what --install wrote')
    .option('--pem', 'print only the certificate')
  withSettings(withJson(command), ['stateDir', 'rootDir', 'hosts', 'listen', 'tlsCert', 'tlsKey']).action(
    async (flags: Flags) => {
      const choice = {
        hosts: textsOf(flags['host']),
        clients: textsOf(flags['client']),
        all: flags['all'] === true,
        install: flags['install'] === true,
        uninstall: flags['uninstall'] === true,
        pem: flags['pem'] === true,
        json: flags['json'] === true,
      }
      const { trust } = await import('../commands.ts')
      const config = await configInForce(world, flags, ['listen'])
      finish(await trust({ config, ...choice }, world))
    },
  )
}

// The client names do not depend on these arguments, so any values will do.
function clientNames(): readonly string[] {
  const machine = { platform: 'linux', isRoot: false } as const
  return trustClients({ keys: ['HOST'], file: 'root.crt', machine }).map(({ client }) => client)
}
