// Writes the completion script for fish.

import { flagsWithValue, pathsBelow, singleQuoted, type CommandNode, type FlagValue } from './command-tree.ts'

export function fishScript(program: string, nodes: readonly CommandNode[]): string {
  const values = flagsWithValue(nodes)
  return `# Completes ${program} in fish: ${program} completion fish | source
function __registry_sidecar_is
    set -l at ''
    set -l is_value ''
    for word in (commandline -opc)[2..-1]
        if test -n "$is_value"
            set is_value ''
            continue
        end
        switch "$at $word"
            case ${nodes.flatMap(pathsBelow).map(singleQuoted).join(' ')}
                set at (string trim "$at $word")
            case ${Array.from(values.keys(), (flag) => singleQuoted(`* ${flag}`)).join(' ')}
                set is_value 1
        end
    end
    test "$at" = "$argv"
end
complete -c ${program} -e
complete -c ${program} -f
${nodes.flatMap((node) => linesOf(program, node)).join('\n')}
`
}

function linesOf(program: string, { path, commands, flags, argumentWords }: CommandNode): readonly string[] {
  const start = `complete -c ${program} -n ${singleQuoted(`__registry_sidecar_is ${path}`.trim())}`
  return [
    ...commands.map(({ text, description }) => `${start} -a ${text} -d ${singleQuoted(description)}`),
    ...argumentWords.map((word) => `${start} -a ${word}`),
    ...flags.map(({ text, description, value }) => {
      const name = text.replace(/^--/, '')
      return `${start} -l ${name}${completing(value)} -d ${singleQuoted(description)}`
    }),
  ]
}

function completing(value: FlagValue): string {
  if (value === 'none') return ''
  if (value === 'file') return ' -r -F'
  if (value === 'folder') return " -x -a '(__fish_complete_directories)'"
  if (typeof value === 'string') return ' -x'
  return ` -x -a ${singleQuoted(value.join(' '))}`
}
