// Parses the command line of the fuzzer.

import { parseArgs } from 'node:util'

export interface Options {
  readonly cases: number
  /** The seed from which fast-check derives all cases. */
  readonly seed: number
  /** The Node binary that runs the sidecar. */
  readonly node: string
}

export const USAGE = `npm run fuzz -- [options]

  --cases N            number of mutated connections (100000)
  --seed=N             the same cases as the run that printed this seed
  --node PATH          Node for the sidecar
`

/** Throws for an unknown option or value. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cases: { type: 'string', default: '100000' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      node: { type: 'string', default: process.execPath },
    },
  })
  return {
    cases: wholeNumber('--cases', values.cases),
    seed: seedOf(values.seed),
    node: values.node,
  }
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} takes a whole number from 1`)
  return number
}

// fast-check prints signed 32-bit seeds.
function seedOf(text: string): number {
  const seed = Number(text)
  if (!Number.isInteger(seed)) throw new Error('--seed takes a whole number')
  return seed
}
