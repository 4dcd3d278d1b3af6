// Parses rules files in a worker thread; see read-rules.ts.

import { parseRules } from './rules-file.ts'

/** The main thread parses JSON three times faster than it receives a structured clone. */
export default function parse(text: string): string {
  return JSON.stringify(parseRules(text))
}
