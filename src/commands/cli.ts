// The command line: verbs, flags, help and exit codes. The only file that imports commander.

import { createRequire } from 'node:module'
import { Command, CommanderError, Option } from 'commander'
import {
  flagOf,
  parseConfig,
  SETTINGS,
  settingNames,
  variableOf,
  type Config,
  type Sources,
} from '../config.ts'
import { CommandError, ConfigError, InvalidFileError } from '../errors.ts'
import { watchSignals } from './early-signals.ts'
import type { ExitCode, World } from './world.ts'

// Verbs are loaded when they are called: a health check, every few seconds, must not load a server first.

/** Runs one command line (without node and script) to its end. Resolves to the exit code; never rejects on misuse. */
export async function runCli(args: readonly string[], world: World): Promise<ExitCode> {
  let code: ExitCode = 0
  const program = createProgram(world, (result) => (code = result))
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    return explain(error, world)
  }
}

type Flags = Readonly<Record<string, string | boolean | undefined>>

function createProgram(world: World, finish: (code: ExitCode) => void): Command {
  const program = new Command('registry-sidecar')
    .description('TLS and login for a plain Docker registry')
    .version(version())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
    })
    .showHelpAfterError('(--help shows what there is)')
  const configOf = (flags: Flags): Config => parseConfig(sourcesOf(world, flags))

  withSettings(program.command('serve', { isDefault: true }).description('run the sidecar')).action(
    async (flags: Flags) => {
      const config = configOf(flags)
      const early = watchSignals(world)
      const { serve } = await import('./serve.ts')
      finish(await serve(config, early.world))
      early.stopWatching()
    },
  )
  addUserCommands(program, { world, finish, configOf })
  addCertCommands(program, { world, finish, configOf })
  withSettings(program.command('trust').description('how clients come to trust the root certificate'))
    .option('--host <host:port>', 'what clients call the registry; may be given several times', collect)
    .option('--install', 'write the certs.d files on this machine')
    .option('--uninstall', 'remove what --install wrote')
    .option('--pem', 'print the certificate alone')
    .option('--json', 'print one JSON document')
    .action(async ({ host: hosts = [], ...flags }: Flags & { readonly host?: readonly string[] }) => {
      const choice = {
        install: flags['install'] === true,
        uninstall: flags['uninstall'] === true,
        pem: flags['pem'] === true,
        json: flags['json'] === true,
      }
      const { trust } = await import('./trust.ts')
      finish(await trust({ config: configOf(flags), hosts, ...choice }, world))
    })
  withSettings(program.command('check').description('look at settings, users, certificate and registry'))
    .option('--host <host:port>', 'look at this address instead, as a client would')
    .option('--json', 'print one JSON document')
    .action(async (flags: Flags) => {
      const host = typeof flags['host'] === 'string' ? flags['host'] : undefined
      const { check } = await import('./check.ts')
      finish(await check({ sources: sourcesOf(world, flags), json: flags['json'] === true, host }, world))
    })
  withSettings(program.command('healthcheck').description('0 if the sidecar running here is ready, else 1'))
    .option('--json', 'print one JSON document, as it always does')
    .action(async (flags: Flags) => {
      const { healthcheck } = await import('./healthcheck.ts')
      finish(await healthcheck(configOf(flags), world))
    })
  withSettings(
    program.command('quickstart').description('find a registry, create a first user, run both'),
  ).action(async (flags: Flags) => {
    const { quickstart } = await import('./quickstart.ts')
    finish(await quickstart(sourcesOf(world, flags), world))
  })
  return program
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

interface Wiring {
  readonly world: World
  readonly finish: (code: ExitCode) => void
  readonly configOf: (flags: Flags) => Config
}

function addUserCommands(program: Command, { world, finish, configOf }: Wiring): void {
  const user = program.command('user').description('manage the users file')
  const verb = (name: string, description: string) =>
    withSettings(user.command(name).description(description)).option('--json', 'print one JSON document')
  const setting = (name: string, description: string) =>
    verb(name, description)
      .option('--generate', 'make a password and print it once')
      .option('--cost <n>', 'bcrypt work factor', '10')
  const file = (flags: Flags) => ({ ...usersFile(configOf, flags), json: flags['json'] === true })
  const making = (flags: Flags) => ({
    ...file(flags),
    generate: flags['generate'] === true,
    cost: Number(flags['cost']),
  })

  setting('add <name>', 'add a user; the password is asked for, or one line of stdin').action(
    async (name: string, flags: Flags) => {
      const { addUser } = await import('./user.ts')
      finish(await addUser({ name, ...making(flags) }, world))
    },
  )
  setting('passwd <name>', "change a user's password")
    .option('--keep-old <duration>', 'let the present password stay valid for so long: 10m, 24h; at most 24d')
    .action(async (name: string, flags: Flags) => {
      const keepOld = typeof flags['keepOld'] === 'string' ? flags['keepOld'] : undefined
      const { changePassword } = await import('./user.ts')
      finish(await changePassword({ name, keepOld, ...making(flags) }, world))
    })
  verb('remove <name>', 'remove a user').action(async (name: string, flags: Flags) => {
    const { removeUser } = await import('./user.ts')
    finish(await removeUser({ name, ...file(flags) }, world))
  })
  verb('list', 'list users, and lines that are none').action(async (flags: Flags) => {
    const { listUsers } = await import('./user-queries.ts')
    finish(await listUsers(file(flags), world))
  })
  verb('verify <name>', "try a user's password").action(async (name: string, flags: Flags) => {
    const { verifyUser } = await import('./user-queries.ts')
    finish(await verifyUser({ name, ...file(flags) }, world))
  })
}

function addCertCommands(program: Command, { world, finish, configOf }: Wiring): void {
  const cert = program.command('cert').description('the certificate that is served')
  const verb = (name: string, description: string) =>
    withSettings(cert.command(name).description(description)).option('--json', 'print one JSON document')
  const request = (flags: Flags) => ({ config: configOf(flags), json: flags['json'] === true })

  verb('show', 'what is served, and until when').action(async (flags: Flags) => {
    const { showCert } = await import('./cert.ts')
    finish(await showCert(request(flags), world))
  })
  verb('renew', 'issue a new leaf now; a running sidecar serves it within 2 seconds')
    .option('--root', 'a new root as well; clients that trust the present one go on to work until it ends')
    .action(async (flags: Flags) => {
      const { renewCert } = await import('./cert.ts')
      finish(await renewCert({ ...request(flags), root: flags['root'] === true }, world))
    })
}

// What is wrong with the settings is told by the command, together with what is wrong with its arguments.
function usersFile(
  configOf: Wiring['configOf'],
  flags: Flags,
): { readonly file: string; readonly problems: readonly string[] } {
  try {
    return { file: configOf(flags).users, problems: [] }
  } catch (error) {
    if (error instanceof ConfigError) return { file: '', problems: error.problems }
    throw error
  }
}

function withSettings(command: Command): Command {
  for (const name of settingNames()) {
    const { default: fallback, meaning } = SETTINGS[name]
    const described = fallback === '' ? meaning : `${meaning} (default: ${fallback})`
    command.addOption(new Option(`${flagOf(name)} <value>`, `${described}; ${variableOf(name)}`))
  }
  return command.allowExcessArguments(false)
}

function sourcesOf(world: World, flags: Flags): Sources {
  const given = settingNames().flatMap((name) => {
    const value = flags[name]
    return typeof value === 'string' ? [[name, value] as const] : []
  })
  return { env: world.env, flags: Object.fromEntries(given) }
}

function explain(error: unknown, { stderr }: World): ExitCode {
  // --help and --version end this way too, with code 0; everything else of commander's is wrong usage.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64
  if (error instanceof ConfigError) {
    for (const problem of error.problems) stderr.write(`registry-sidecar: ${problem}\n`)
    return 64
  }
  if (error instanceof CommandError || error instanceof InvalidFileError) {
    stderr.write(`registry-sidecar: ${error.message}\n`)
    return 1
  }
  throw error
}

function version(): string {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }
  return version
}
