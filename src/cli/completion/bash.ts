// Writes the completion script for bash.

import {
  flagsWithValue,
  pathsBelow,
  singleQuoted,
  valueCases,
  type CommandNode,
  type FlagValue,
} from './command-tree.ts'

/** A script for bash 3.2 and later. */
export function bashScript(program: string, nodes: readonly CommandNode[]): string {
  const values = flagsWithValue(nodes)
  return `# Completes ${program} in bash: source <(${program} completion bash)
_registry_sidecar() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local at='' word isValue='' i commands='' flags='' IFS=$'\\n'
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    # Bash splits --flag=value into three words.
    if [[ $word == = ]]; then isValue=1; continue; fi
    if [[ $isValue ]]; then isValue=''; continue; fi
    case "$at $word" in
      ${nodes.flatMap(pathsBelow).map(singleQuoted).join(' | ')}) at="\${at:+$at }$word" ;;
      ${Array.from(values.keys(), (flag) => `*${singleQuoted(` ${flag}`)}`).join(' | ')}) isValue=1 ;;
    esac
  done
  if [[ $current == = ]]; then
    current=''
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case $previous in
${valueCases(values, completing).join('\n')}
  esac
  case $at in
${nodes.map(nodeCase).join('\n')}
  esac
  if [[ $current == -* || -z $commands ]]; then commands=$flags; fi
  COMPREPLY=($(compgen -W "$commands" -- "$current"))
}
complete -F _registry_sidecar ${program}
`
}

function completing(value: FlagValue): string {
  // With this option bash escapes blanks in file names and completes below folders.
  const asFiles = 'compopt -o filenames 2>/dev/null; '
  if (value === 'file') return `${asFiles}COMPREPLY=($(compgen -f -- "$current"))`
  if (value === 'folder') return `${asFiles}COMPREPLY=($(compgen -d -- "$current"))`
  if (typeof value === 'string') return 'COMPREPLY=()'
  return `COMPREPLY=($(compgen -W ${linesOf(value)} -- "$current"))`
}

function nodeCase({ path, commands, flags, argumentWords }: CommandNode): string {
  const words = [...commands.map(({ text }) => text), ...argumentWords]
  const flagWords = linesOf(flags.map(({ text }) => text))
  return `    ${singleQuoted(path)}) commands=${linesOf(words)} flags=${flagWords} ;;`
}

// Joins with line feeds, because the script sets IFS to a line feed to keep blanks within words.
function linesOf(words: readonly string[]): string {
  return words.length === 0 ? "''" : `$'${words.join('\\n')}'`
}
