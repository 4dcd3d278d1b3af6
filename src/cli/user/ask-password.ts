// Reads passwords from the terminal without echo, or from stdin.
//
// Threat: every user of the machine can read command arguments. So no password is an argument.

import { StringDecoder } from 'node:string_decoder'

import { CommandError } from '../../errors/errors.ts'
import type { World } from '../../app/world.ts'

// Longer than any password, and a limit for endless input.
const MAX_LINE_BYTES = 4096

const ENTER = new Set(['\r', '\n'])
const ERASE = new Set(['\b', '\x7f'])
const ERASE_ALL = '\x15'
const INTERRUPT = '\x03'
const END_OF_INPUT = '\x04'

/** On a terminal every prompt needs the same answer. Rejects with a CommandError at Ctrl-C. */
export async function askPassword(world: World, prompts: readonly string[]): Promise<string> {
  if (world.stdin.isTTY !== true || world.stdin.setRawMode === undefined) return readLine(world)
  const answers = await askOnTerminal(world, prompts)
  if (new Set(answers).size > 1) throw new CommandError('the passwords differ; nothing was changed')
  return answers[0] ?? ''
}

async function readLine({ stdin }: World): Promise<string> {
  let read = Buffer.alloc(0)
  for await (const chunk of stdin) {
    read = Buffer.concat([read, Buffer.from(chunk)])
    if (read.includes('\n') || read.length > MAX_LINE_BYTES) break
  }
  const end = read.indexOf('\n')
  const line = end < 0 ? read : read.subarray(0, end)
  if (line.length > MAX_LINE_BYTES)
    throw new CommandError('the first line of standard input is too long for a password')
  return decode(line).replace(/\r$/, '')
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new CommandError('the password on standard input is not UTF-8', { cause: error })
  }
}

/** Reads all answers together, because a paste may hold several lines. */
async function askOnTerminal(
  { stdin, stderr }: World,
  prompts: readonly string[],
): Promise<readonly string[]> {
  const decoder = new StringDecoder('utf8')
  const answers = createAnswers(prompts.length)
  let asked = 0

  function showPrompts(): void {
    while (asked <= answers.lines().length && asked < prompts.length) {
      const prompt = `${asked > 0 ? '\n' : ''}${prompts[asked] ?? ''}: `
      asked++
      stderr.write(prompt)
    }
  }

  return new Promise((resolve, reject) => {
    function stopReading(): void {
      stdin.off('data', onData).off('end', onEnd).off('error', onEnd)
      stdin.setRawMode?.(false)
      stdin.pause()
      stderr.write('\n')
    }
    function onEnd(): void {
      stopReading()
      reject(new CommandError('aborted; nothing was changed'))
    }
    function onData(chunk: Buffer | string): void {
      const outcome = answers.type(decoder.write(Buffer.from(chunk)))
      if (outcome === 'aborted') {
        onEnd()
        return
      }
      showPrompts()
      if (outcome === 'more') return
      stopReading()
      resolve(answers.lines())
    }
    stdin.on('data', onData).on('end', onEnd).on('error', onEnd)
    // Before the first prompt, so that early typing is not echoed either.
    stdin.setRawMode?.(true)
    stdin.resume()
    showPrompts()
  })
}

interface Answers {
  type(text: string): 'more' | 'done' | 'aborted'
  lines(): readonly string[]
}

function createAnswers(wanted: number): Answers {
  const lines: string[] = []
  let typed: readonly string[] = []

  function type(text: string): 'more' | 'done' | 'aborted' {
    for (const character of text) {
      if (character === INTERRUPT || character === END_OF_INPUT) return 'aborted'
      if (ENTER.has(character)) {
        lines.push(typed.join(''))
        typed = []
        if (lines.length === wanted) return 'done'
      } else if (ERASE.has(character)) typed = typed.slice(0, -1)
      else if (character === ERASE_ALL) typed = []
      else typed = [...typed, character]
    }
    return 'more'
  }

  return { type, lines: () => lines }
}
