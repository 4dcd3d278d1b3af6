// Writes the completion script for zsh.

import {
  flagsWithValue,
  pathsBelow,
  singleQuoted,
  valueCases,
  type CommandNode,
  type FlagValue,
  type Word,
} from './command-tree.ts'

/** A script to source after compinit, or to store as `_registry-sidecar` in a folder of fpath. */
export function zshScript(program: string, nodes: readonly CommandNode[]): string {
  const values = flagsWithValue(nodes)
  return `#compdef ${program}
# Completes ${program} in zsh: source <(${program} completion zsh)
_registry_sidecar() {
  local at='' word='' is_value='' previous=\${words[CURRENT-1]} i
  local -a commands flags
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    if [[ -n $is_value ]]; then is_value=''; continue; fi
    case "$at $word" in
      ${nodes.flatMap(pathsBelow).map(singleQuoted).join(' | ')}) at="\${at:+$at }$word" ;;
      ${Array.from(values.keys(), (flag) => `*${singleQuoted(` ${flag}`)}`).join(' | ')}) is_value=1 ;;
    esac
  done
  if [[ \${words[CURRENT]} == --*=* ]]; then
    previous=\${words[CURRENT]%%=*}
    compset -P '*='
  fi
  case $previous in
${valueCases(values, completing).join('\n')}
  esac
  case $at in
${nodes.map(nodeCase).join('\n')}
  esac
  if [[ \${words[CURRENT]} == -* ]] || (( ! \${#commands} )); then
    _describe -o flag flags
  else
    _describe command commands
  fi
}
if [[ \${funcstack[1]} == _registry_sidecar ]]; then
  _registry_sidecar "$@"
else
  compdef _registry_sidecar ${program}
fi
`
}

function completing(value: FlagValue): string {
  if (value === 'file') return '_files'
  if (value === 'folder') return '_files -/'
  if (typeof value === 'string') return 'true'
  return `compadd -- ${value.join(' ')}`
}

function nodeCase({ path, commands, flags, argumentWords }: CommandNode): string {
  const words = [...commands, ...argumentWords.map((text) => ({ text, description: text }))]
  return `    ${singleQuoted(path)})
      commands=(${words.map(described).join(' ')})
      flags=(${flags.map(described).join(' ')})
      ;;`
}

function described({ text, description }: Word): string {
  return singleQuoted(`${text}:${description}`)
}
