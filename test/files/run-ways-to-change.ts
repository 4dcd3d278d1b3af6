// Lists the ways people and programs change a users file. Uses the real programs where this machine has them.

import { execFile, spawnSync } from 'node:child_process'
import {
  appendFile,
  chmod,
  mkdir,
  open,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { runHere } from '../fixtures/command.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { ALICE_LINE, BEFORE, BOB_LINE, type Layout, type Place } from './users-place.ts'

export interface Method {
  readonly method: string
  readonly layouts: readonly Layout[]
  /** Changes a file with the content BEFORE. */
  readonly change: (place: Place) => Promise<void>
  /** The names after the change. */
  readonly names: readonly string[]
  readonly isThere: boolean
}

const PLAIN_OR_LINK: readonly Layout[] = ['plain', 'symlink']
// Has the length of BOB_LINE, so that the size does not show the change.
const OTHER_BOB_LINE = BOB_LINE.replace(/.$/m, (last) => (last === 'a' ? 'b' : 'a'))
const exec = promisify(execFile)
const hasHtpasswd = findProgram('htpasswd') !== undefined

export const METHODS: readonly Method[] = [
  method('write in place', ({ file }) => writeFile(file, ALICE_LINE)),
  method('append', ({ file }) => appendFile(file, BOB_LINE.replace('bob', 'carol')), {
    names: 'alice bob carol',
  }),
  method('truncate, and write 100 ms later', truncateThenWrite),
  method('overwrite with the same size and date', overwriteUnseen, { names: 'alice bob' }),
  method('replace with the same size and date', replaceUnseen, { names: 'alice bob' }),
  method('remove, and create 100 ms later', removeThenCreate),
  method('mv over', async (place) => run('mv', await next(place), place.file)),
  method('cp over', async (place) => run('cp', await next(place), place.file)),
  method('cp --remove-destination over', async (place) =>
    run('cp', '--remove-destination', await next(place), place.file),
  ),
  method('sed -i', ({ file }) => run('sed', '-i', '/^bob:/d', file)),
  method('vim', (place) => vim(place, 'auto'), { isThere: isOnPath('vim') }),
  method('vim that renames the backup', (place) => vim(place, 'no'), { isThere: isOnPath('vim') }),
  method('an editor like vim: backup by rename, then a new file', renameAwayThenWrite),
  method('an editor like emacs: backup beside the real file, then a new one', emacsStyle),
  method('htpasswd -B', ({ file }) => run('htpasswd', '-bB', '-C', '4', file, 'bob', 'other'), {
    names: 'alice bob',
    isThere: hasHtpasswd,
  }),
  method('htpasswd -D', ({ file }) => run('htpasswd', '-D', file, 'bob'), { isThere: hasHtpasswd }),
  method('a program like ansible: temporary file, mode, rename', ansibleStyle),
  method('a program like rsync: hidden file, date, rename', rsyncStyle),
  method('rsync', async (place) => run('rsync', '-t', await next(place), place.file), {
    isThere: isOnPath('rsync'),
  }),
  method('user add', (place) => user(place, 'add', 'carol'), { names: 'alice bob carol' }),
  method('user passwd', (place) => user(place, 'passwd', 'bob'), { names: 'alice bob' }),
  method('user remove', (place) => user(place, 'remove', 'bob')),
  method('replace the folder by another', replaceFolder),
  method('ln -sf to another file', async (place) => run('ln', '-sf', await next(place), place.file), {
    layouts: ['symlink'],
  }),
  method('ln -sfn to another file', async (place) => relink(place.file, await next(place)), {
    layouts: ['symlink'],
  }),
  method('swap a link to the folder', swapFolderLink, { layouts: ['linked folder'] }),
  method('swap the ..data of a ConfigMap', swapConfigMap, { layouts: ['ConfigMap'] }),
]

interface MethodOptions {
  readonly names?: string
  readonly layouts?: readonly Layout[]
  readonly isThere?: boolean
}

function method(
  name: string,
  change: Method['change'],
  { names = 'alice', layouts = PLAIN_OR_LINK, isThere = true }: MethodOptions = {},
): Method {
  return { method: name, change, names: names.split(' '), layouts, isThere }
}

function isOnPath(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0
}

async function run(program: string, ...args: readonly string[]): Promise<void> {
  await exec(program, args)
}

// A file beside the folder, with the wanted content.
async function next({ base }: Place): Promise<string> {
  const file = path.join(base, 'next')
  await writeFile(file, ALICE_LINE)
  return file
}

async function user({ file }: Place, verb: string, name: string): Promise<void> {
  const args = verb === 'remove' ? [] : ['--cost', '4']
  const input = 'battery staple\n'
  const { code, stderr } = await runHere(['user', verb, name, '--users', file, ...args], { input })
  if (code !== 0) throw new Error(`user ${verb} failed: ${stderr}`)
}

async function vim(place: Place, backupCopy: 'auto' | 'no'): Promise<void> {
  const commands = [`set backupcopy=${backupCopy} writebackup`, 'g/^bob:/d', 'wq']
  await run('vim', '-Nu', 'NONE', '-n', '-es', ...commands.flatMap((command) => ['-c', command]), place.file)
}

async function renameAwayThenWrite({ file }: Place): Promise<void> {
  await rename(file, `${file}~`)
  await writeFile(file, ALICE_LINE)
  await rm(`${file}~`)
}

async function emacsStyle({ file }: Place): Promise<void> {
  const real = await realpath(file)
  await rename(real, `${real}~`)
  await writeFile(real, ALICE_LINE)
}

async function ansibleStyle({ file }: Place): Promise<void> {
  const temporary = path.join(path.dirname(file), '.ansible_tmpx1y2z3htpasswd')
  await writeFile(temporary, ALICE_LINE, { mode: 0o600 })
  await chmod(temporary, 0o644)
  await rename(temporary, file)
}

async function rsyncStyle({ file }: Place): Promise<void> {
  const temporary = path.join(path.dirname(file), '.htpasswd.Xy12Zt')
  await writeFile(temporary, ALICE_LINE, { mode: 0o600 })
  await utimes(temporary, 1_700_000_000, 1_700_000_000)
  await rename(temporary, file)
}

async function truncateThenWrite({ file }: Place): Promise<void> {
  await truncate(file, 0)
  await pause(100)
  await writeFile(file, ALICE_LINE)
}

async function overwriteUnseen({ file }: Place): Promise<void> {
  const { atime, mtime } = await stat(file)
  const handle = await open(file, 'r+')
  await handle.write(OTHER_BOB_LINE, ALICE_LINE.length)
  await handle.close()
  await utimes(file, atime, mtime)
}

async function replaceUnseen({ file }: Place): Promise<void> {
  const { atime, mtime } = await stat(file)
  await writeFile(`${file}.new`, BEFORE.replace(BOB_LINE, OTHER_BOB_LINE))
  await utimes(`${file}.new`, atime, mtime)
  await rename(`${file}.new`, file)
}

async function removeThenCreate({ file }: Place): Promise<void> {
  await rm(file)
  await pause(100)
  await writeFile(file, ALICE_LINE)
}

async function replaceFolder({ base }: Place): Promise<void> {
  await mkdir(path.join(base, 'other'))
  await writeFile(path.join(base, 'other', 'htpasswd'), ALICE_LINE)
  await rename(path.join(base, 'users'), path.join(base, 'former'))
  await rename(path.join(base, 'other'), path.join(base, 'users'))
}

async function swapFolderLink({ base }: Place): Promise<void> {
  await mkdir(path.join(base, 'other'))
  await writeFile(path.join(base, 'other', 'htpasswd'), ALICE_LINE)
  await relink(path.join(base, 'users'), 'other')
}

// Does the same steps as kubelet, in the same order: it removes the old folder last.
async function swapConfigMap({ base }: Place): Promise<void> {
  await mkdir(path.join(base, 'users', '..2024_02'))
  await writeFile(path.join(base, 'users', '..2024_02', 'htpasswd'), ALICE_LINE)
  await relink(path.join(base, 'users', '..data'), '..2024_02')
  await rm(path.join(base, 'users', '..2024_01'), { recursive: true })
}

// The link exists at every moment.
async function relink(link: string, target: string): Promise<void> {
  await symlink(target, `${link}.new`)
  await rename(`${link}.new`, link)
}
