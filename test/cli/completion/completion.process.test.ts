// Runs the completion scripts in the real shells.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runHere } from '../../fixtures/command.ts'
import { findProgram } from '../../fixtures/find-program.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

type Shell = 'bash' | 'zsh' | 'fish'

// Zsh completes only in a terminal, so these replacements print their arguments.
const ZSH_STAND_INS = `
compdef() { : }
compset() { : }
_files() { print -rl -- "\${@:-files}" }
compadd() { shift; print -rl -- "$@" }
_describe() { [[ $1 == -o ]] && shift; print -rl -- "\${(@P)2}" }
`

/** Completes the last of these words in each shell. */
const COMPLETE: Readonly<Record<Shell, (words: readonly string[]) => string>> = {
  bash: (words) =>
    `source ./completion; COMP_WORDS=(${words.map(quoted).join(' ')}); COMP_CWORD=${words.length - 1}; ` +
    '_registry_sidecar; printf "%s\\n" "${COMPREPLY[@]}"',
  zsh: (words) =>
    `${ZSH_STAND_INS} source ./completion; words=(${words.map(quoted).join(' ')}); CURRENT=${words.length}; _registry_sidecar`,
  fish: (words) => `source ./completion; complete -C ${quoted(words.join(' '))}`,
}

const START: Readonly<Record<Shell, readonly [string, ...string[]]>> = {
  bash: ['bash', '--norc'],
  zsh: ['zsh', '-f'],
  fish: ['fish', '--no-config'],
}

function quoted(text: string): string {
  return `'${text}'`
}

function isInstalled(shell: Shell): boolean {
  try {
    execFileSync(shell, ['-c', 'exit'])
    return true
  } catch {
    return false
  }
}

async function sourceIn(shell: Shell): Promise<(...words: string[]) => readonly string[]> {
  const cwd = tempFolder()
  mkdirSync(path.join(cwd, 'a folder'))
  writeFileSync(path.join(cwd, 'a file'), '')
  const { code, stdout } = await runHere(['completion', shell])
  expect(code).toBe(0)
  writeFileSync(path.join(cwd, 'completion'), stdout)
  const [program, ...args] = START[shell]
  return (...words) => {
    const script = COMPLETE[shell](['registry-sidecar', ...words])
    const output = execFileSync(program, [...args, '-c', script], { cwd, encoding: 'utf8' })
    // Each word is followed by its description.
    return output.split('\n').flatMap((line) => (line === '' ? [] : [line.replace(/[\t:].*$/, '')]))
  }
}

describe.each<Shell>(['bash', 'zsh', 'fish'])('completion in %s', (shell) => {
  const only = it.skipIf(!isInstalled(shell))

  only('completes commands, and commands within commands', async () => {
    const complete = await sourceIn(shell)
    expect(complete('')).toEqual(expect.arrayContaining(['serve', 'user', 'trust', 'check', 'completion']))
    expect(complete('user', '')).toEqual(
      expect.arrayContaining(['add', 'passwd', 'remove', 'list', 'verify']),
    )
    expect(complete('user', '')).not.toContain('serve')
    expect([...complete('user', 'token', '')].sort()).toEqual(['add', 'list', 'revoke'])
    expect(complete('user', 'token', 'add', 'alice', '--')).toEqual(
      expect.arrayContaining(['--expires', '--allow', '--repositories', '--label', '--json', '--users']),
    )
    expect(complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']))
  })

  only('completes the flags of the command at hand', async () => {
    const complete = await sourceIn(shell)
    const flags = complete('user', 'passwd', 'alice', '--')
    expect([...flags].sort()).toEqual([
      '--cost',
      '--generate',
      '--help',
      '--json',
      '--keep-old',
      '--revoke-tokens',
      '--users',
    ])
    expect(complete('--')).toEqual(expect.arrayContaining(['--version', '--listen']))
  })

  only('completes words that a flag takes, and does not take a value for a command', async () => {
    const complete = await sourceIn(shell)
    expect([...complete('serve', '--log-format', '')].sort()).toEqual(['json', 'pretty'])
    expect(complete('--users', 'user', 'trust', '--')).toContain('--pem')
    expect(complete('serve', '--listen', '')).toEqual([])
  })
})

describe('completion of paths', () => {
  it('lists files and folders in bash, with blanks and after an equal sign', async () => {
    const complete = await sourceIn('bash')
    expect([...complete('user', 'list', '--users', 'a ')].sort()).toEqual(['a file', 'a folder'])
    expect([...complete('user', 'list', '--users', '=', 'a ')].sort()).toEqual(['a file', 'a folder'])
    expect(complete('serve', '--state-dir', 'a')).toEqual(['a folder'])
  })

  it.skipIf(!isInstalled('zsh'))('uses zsh’s own completion of files', async () => {
    const complete = await sourceIn('zsh')
    expect(complete('serve', '--users', '')).toEqual(['files'])
    expect(complete('serve', '--state-dir', '')).toEqual(['-/'])
  })

  it.skipIf(!isInstalled('fish'))('uses fish’s own completion of files', async () => {
    const complete = await sourceIn('fish')
    expect(complete('serve', '--users', '')).toEqual(expect.arrayContaining(['a file', 'a folder/']))
    expect(complete('serve', '--state-dir', '')).toEqual(['a folder/'])
  })
})

const terminal = findProgram('script')

it.skipIf(terminal === undefined)('completes a command in an interactive bash', async () => {
  const cwd = tempFolder()
  writeFileSync(path.join(cwd, 'completion'), (await runHere(['completion', 'bash'])).stdout)
  const env = { PATH: process.env['PATH'], TERM: 'dumb', INPUTRC: '/dev/null' }
  const child = spawn(terminal ?? '', ['-qec', 'bash --norc -i', '/dev/null'], { cwd, env })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const ended = once(child, 'close')
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stdin.write('source ./completion; registry-sidecar() { echo "got: $*"; }\n')
  child.stdin.write('registry-sidecar us\tver\tx --us\tcompl\t\nexit\n')
  await ended
  expect(output).toContain('got: user verify x --users completion')
})

it('refuses any other shell, and lists the supported ones', async () => {
  const { code, stderr } = await runHere(['completion', 'tcsh'])
  expect(code).toBe(64)
  expect(stderr).toContain('bash, zsh, fish')
})
