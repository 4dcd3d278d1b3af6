// Parses the command line of the benchmark.

import { parseArgs } from 'node:util'

export interface Options {
  readonly rounds: number
  readonly sizeMib: number
  /** Peers to measure; undefined for all. */
  readonly only: readonly string[] | undefined
  readonly measures: readonly string[] | undefined
  /** Node binaries that run the sidecar; the first is the base of the ratios. */
  readonly nodes: readonly string[]
  readonly json: boolean
  readonly write: boolean
}

export const USAGE = `npm run bench -- [options]

  --rounds N           rounds, in each of which every peer is measured once (5)
  --size MIB           size of the blob pulled and pushed (1024)
  --only A,B           these peers only: sidecar, nginx, nginx-tuned, caddy, haproxy, registry, bare-node
  --measure A,B        these measures only: pull, push, small, fresh, many, ttfb
  --node PATH          Node for the sidecar; given several times, each is a peer of its own
  --json               print every figure as JSON instead of the table
  --write              also replaces the text between <!-- bench --> and <!-- /bench --> in docs/benchmarks.md
`

/** Throws for an unknown option or value. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      size: { type: 'string', default: '1024' },
      only: { type: 'string' },
      measure: { type: 'string' },
      node: { type: 'string', multiple: true, default: [process.execPath] },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  })
  return {
    rounds: positive('--rounds', values.rounds),
    sizeMib: positive('--size', values.size),
    only: values.only?.split(','),
    measures: values.measure?.split(','),
    nodes: values.node,
    json: values.json,
    write: values.write,
  }
}

/** Returns the entries with these names. Throws for an unknown name. */
export function choose<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[] | undefined,
): readonly T[] {
  const unknown = names?.filter((name) => !all.some((entry) => entry.name === name)) ?? []
  const known = all.map(({ name }) => name).join(', ')
  if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}; there are ${known}`)
  return all.filter(({ name }) => names?.includes(name) ?? true)
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} takes a whole number from 1`)
  return number
}
