// Formats samples as medians and ratios, in JSON or Markdown.

import type { Machine } from './machine.ts'
import type { Figure, Measure } from './measure.ts'
import type { Options } from './options.ts'
import type { Sample } from './rounds.ts'
import { median } from './statistics.ts'

export interface PeerNote {
  readonly name: string
  readonly version: string
  readonly about: string
}

export interface Run {
  readonly options: Options
  readonly machine: Machine
  readonly peers: readonly PeerNote[]
  readonly missing: readonly string[]
  readonly measures: readonly Measure[]
  readonly samples: readonly Sample[]
}

export interface Row {
  readonly measure: string
  readonly figure: string
  readonly medians: Readonly<Record<string, number>>
  /** The base's median divided by the peer's; empty if the base was not measured. */
  readonly ratios: Readonly<Record<string, number>>
}

/** The peer whose median is the numerator of each ratio. */
export function baseOf({ peers }: Run): string | undefined {
  return peers.find(({ name }) => name.startsWith('sidecar'))?.name
}

export function rowsOf(run: Run): readonly Row[] {
  return run.measures.flatMap((measure) => measure.figures.map((figure) => rowOf(run, measure, figure)))
}

export function formatJson(run: Run): string {
  const { measures, ...rest } = run
  const base = baseOf(run)
  const ratio = `median of ${base ?? 'none'} / median of the peer`
  return JSON.stringify(
    { ...rest, base, ratio, measures: measures.map(({ name }) => name), rows: rowsOf(run) },
    null,
    2,
  )
}

export function formatMarkdown(run: Run): string {
  const names = run.peers.map(({ name }) => name)
  const lines = run.measures.flatMap((measure) => [
    `| **${measure.title}** |${' |'.repeat(names.length)}`,
    ...measure.figures.map((figure) => formatRow(run, measure, figure)),
  ])
  return [
    introductionOf(run),
    '',
    `| | ${names.join(' | ')} |`,
    `|---|${'---:|'.repeat(names.length)}`,
    ...lines,
    '',
    ...run.peers.map(({ name, version, about }) => `* **${name}**: ${version}; ${about}.`),
    ...(run.missing.length === 0 ? [] : [`* Not on this machine: ${run.missing.join(', ')}.`]),
  ].join('\n')
}

function introductionOf(run: Run): string {
  const { options, machine } = run
  const base = baseOf(run)
  const rounds = options.rounds === 1 ? 'one round' : `${options.rounds} interleaved rounds`
  const ratio =
    base === undefined
      ? ''
      : ` In parentheses: ${base} ÷ peer, so (0.50) says that ${base} has half of what the peer has.`
  return [
    `Medians of ${rounds} with a blob of ${options.sizeMib} MiB, ${machine.date}, on ${machine.cores} cores of ${machine.cpu},`,
    `${machine.system}, registry ${machine.registry}; clients on the same machine.${ratio}`,
    'CPU and RSS are those of the peer and its workers.',
  ].join('\n')
}

function formatRow(run: Run, measure: Measure, figure: Figure): string {
  const { medians, ratios } = rowOf(run, measure, figure)
  const cells = run.peers.map(({ name }) => {
    const ratio = ratios[name]
    const shown = (medians[name] ?? NaN).toFixed(figure.digits)
    return ratio === undefined || name === baseOf(run) ? shown : `${shown} (${formatRatio(ratio)})`
  })
  return `| ${figure.label} | ${cells.join(' | ')} |`
}

function formatRatio(ratio: number): string {
  return Math.abs(ratio) < 10 ? ratio.toFixed(2) : ratio.toFixed(0)
}

function rowOf(run: Run, measure: Measure, figure: Figure): Row {
  const medianOf = (peer: string): number =>
    median(
      run.samples
        .filter((sample) => sample.measure === measure.name && sample.peer === peer)
        .map(({ figures }) => figures[figure.key] ?? NaN),
    )
  const medians = Object.fromEntries(run.peers.map(({ name }) => [name, medianOf(name)]))
  const base = medians[baseOf(run) ?? '']
  const ratios =
    base === undefined
      ? {}
      : Object.fromEntries(Object.entries(medians).map(([name, value]) => [name, base / value]))
  return { measure: measure.name, figure: figure.key, medians, ratios }
}
