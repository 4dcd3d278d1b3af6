// Parses the command line of the flood benchmark.

import { parseArgs } from 'node:util'

export interface Options {
  /** How long to measure the cached user, without and with the flood. */
  readonly seconds: number
  readonly connections: number
  /** The Node binary that runs the sidecar. */
  readonly node: string
  readonly json: boolean
}

export const USAGE = `npm run bench:flood -- [options]

  --seconds N          how long to measure the cached user in each phase (20)
  --connections N      connections of the flood (64)
  --node PATH          Node for the sidecar
  --json               print every figure as JSON instead of the table
`

/** Throws for an unknown option or value. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '20' },
      connections: { type: 'string', default: '64' },
      node: { type: 'string', default: process.execPath },
      json: { type: 'boolean', default: false },
    },
  })
  return {
    seconds: positive('--seconds', values.seconds),
    connections: positive('--connections', values.connections),
    node: values.node,
    json: values.json,
  }
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} takes a whole number from 1`)
  return number
}
