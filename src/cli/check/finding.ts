// Defines the findings of `check` and formats them.

export interface Finding {
  readonly level: 'ok' | 'note' | 'problem'
  readonly part:
    | 'settings'
    | 'users'
    | 'certificate'
    | 'client CA'
    | 'access'
    | 'registry'
    | 'location'
    | 'replicas'
    | 'address'
    | 'tls'
    | 'trust'
    | 'answer'
    | 'proxy'
  readonly text: string
  readonly hint?: string
}

export type Explanation = Pick<Finding, 'text' | 'hint'>

export function formatFinding({ level, part, text, hint }: Finding): string {
  return `${level.padEnd(7)} ${part}: ${text}${hint === undefined ? '' : ` → ${hint}`}`
}

export function hasProblem(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === 'problem')
}

const MAX_LENGTH = 120

// Threat: the operator's terminal would execute escape sequences from a hostile server.
export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]+/g, ' ').trim()
  return clean.length > MAX_LENGTH ? `${clean.slice(0, MAX_LENGTH)}…` : clean
}
