/** One thing that `check` found. */
export interface Finding {
  readonly level: 'ok' | 'note' | 'problem'
  readonly part:
    | 'settings'
    | 'users'
    | 'certificate'
    | 'client CA'
    | 'registry'
    | 'location'
    | 'address'
    | 'tls'
    | 'trust'
    | 'answer'
    | 'proxy'
  readonly text: string
  /** What to do about it. */
  readonly mend?: string
}

/** A finding as a line for a person. */
export function lineOf({ level, part, text, mend }: Finding): string {
  return `${level.padEnd(7)} ${part}: ${text}${mend === undefined ? '' : ` → ${mend}`}`
}

/** Whether nothing is found that keeps anybody from their work. */
export function isGood(findings: readonly Finding[]): boolean {
  return findings.every(({ level }) => level !== 'problem')
}

const MAX_SHOWN = 120

/** What a stranger sent, for a terminal: printable characters only, and not many. */
export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]+/g, ' ').trim()
  return clean.length > MAX_SHOWN ? `${clean.slice(0, MAX_SHOWN)}…` : clean
}
