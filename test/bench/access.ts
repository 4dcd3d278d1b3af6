// Prints what authorizing one request costs at 1,000 rules: `npm run bench:access`. Exits 1 above the limit.

import { createAccessRules, type AccessRules, type Subject } from '../../src/access/access-rules.ts'
import { authorize, rightsOf } from '../../src/access/authorization.ts'
import { parseRules } from '../../src/access/rules-file/rules-file.ts'

const RULES = 1_000
const LIMIT_MICROSECONDS = 20
const ROUNDS = 15
const REQUESTS_PER_ROUND = 2_000

interface Situation {
  readonly name: string
  readonly rules: AccessRules
  readonly username: string
  readonly target: string
}

const who = (pattern: (i: number) => string, name: (i: number) => string): AccessRules => {
  const rules = Array.from({ length: RULES }, (_, i) => ({
    who: name(i),
    repositories: [pattern(i)],
    allow: ['pull'],
  }))
  const groups = Object.fromEntries(Array.from({ length: RULES }, (_, i) => [`team${i}`, [`user${i}`]]))
  // JSON is YAML.
  const reading = parseRules(JSON.stringify({ groups, rules }))
  if (reading.kind === 'problems') throw new Error('the rules of the benchmark have problems')
  return createAccessRules(reading.file)
}

const LAST = RULES - 1
const team = (i: number): string => `@team${i}`
const everyone = (): string => '*'

const SITUATIONS: readonly Situation[] = [
  {
    name: 'a team per prefix, the last rule allows',
    rules: who((i) => `team${i}/**`, team),
    username: `user${LAST}`,
    target: `/v2/team${LAST}/app/manifests/latest`,
  },
  {
    name: 'all rules for everyone, the last one allows',
    rules: who((i) => `team${i}/**`, everyone),
    username: 'alice',
    target: `/v2/team${LAST}/app/manifests/latest`,
  },
  {
    name: 'all rules for everyone, none allows',
    rules: who((i) => `team${i}/**`, everyone),
    username: 'alice',
    target: '/v2/other/app/manifests/latest',
  },
  {
    name: 'patterns that begin with **, none allows',
    rules: who((i) => `**/app${i}`, everyone),
    username: 'alice',
    target: '/v2/a/b/c/other/manifests/latest',
  },
  {
    name: 'patterns with stars in segments, none allows',
    rules: who((i) => `team*/app-*-${i}`, everyone),
    username: 'alice',
    target: '/v2/team1/app-b-x/manifests/latest',
  },
]

let worst = 0
for (const situation of SITUATIONS) {
  const microseconds = measure(situation)
  worst = Math.max(worst, microseconds)
  process.stdout.write(`${microseconds.toFixed(1).padStart(6)} µs  ${situation.name}\n`)
}
const verdict = worst < LIMIT_MICROSECONDS ? 'within' : 'OVER'
process.stdout.write(`${verdict} the limit of ${LIMIT_MICROSECONDS} µs per request at ${RULES} rules\n`)
process.exitCode = worst < LIMIT_MICROSECONDS ? 0 : 1

/** The median round, per request: target to verdict. Time of the processor, so that other processes do not count. */
function measure({ rules, username, target }: Situation): number {
  const subject: Subject = { kind: 'user', username }
  const times = Array.from({ length: ROUNDS }, () => {
    const start = process.cpuUsage()
    for (let i = 0; i < REQUESTS_PER_ROUND; i++)
      authorize(rightsOf(rules, subject), { subject, method: 'GET', target })
    const { user, system } = process.cpuUsage(start)
    return (user + system) / REQUESTS_PER_ROUND
  })
  return times.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0
}
