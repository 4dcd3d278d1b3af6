// Proves that the adversary's table finds the holes of a naive front.

import { describe, expect, it } from 'vitest'
import { startLenientUpstream } from '../../fixtures/lenient-upstream.ts'
import { createAuthority } from '../../fixtures/own-certificate.ts'
import { startTenLineFront } from '../../fixtures/ten-line-front.ts'
import { AUTHORIZATION } from './cases.ts'
import { frontThatPassesLogins } from './judge.ts'
import { runCases, WHOLE } from './run.ts'
import { TABLE, type NamedCase } from './table.ts'

// The cases that the naive front fails, by a part of the violation's sentence.
const BITES: Readonly<Record<string, readonly string[]>> = {
  'nobody let in': ['DELETE with chunks', 'OPTIONS with chunks'],
  smuggled: [
    'path with a parent segment',
    'path with an encoded parent segment',
    'path with a parent segment encoded twice',
    'path that begins with two slashes',
    'path with a parent segment by backslash',
    'path with a parameter on a parent segment',
    'query with a semicolon',
    'login twice',
    'login before a wrong one',
  ],
  'those who': [
    'GET with a length',
    'GET with chunks',
    'HEAD with a length',
    'HEAD with chunks',
    'DELETE with a length',
    'OPTIONS with a length',
    'length with an underscore in its name, which is none',
    'coding with an underscore in its name, which is none',
  ],
  'were answered': [
    'HTTP/1.0 with chunks',
    'alice before nonsense',
    'alice before a smuggler',
    'alice who closes before nonsense',
  ],
  'what the client claims': [
    'claim X-Forwarded-User',
    'claim X_Forwarded_User',
    'claim X-Forwarded-For',
    'claim Forwarded',
    'claim X-Real-IP',
    'claim X-Original-URL',
    'claim X-HTTP-Method-Override',
    'claim Proxy',
    'claim Cookie',
    'claim twice',
    'host with a user',
    'host that is a list',
    'h2c',
    'hop-by-hop TE',
    'expectation of 100',
  ],
}

// The naive front waits for ever in some of these cases.
const DEADLINE_MS = 1_000
// Valid cases do not hang, so they get more time.
const IN_ORDER_DEADLINE_MS = 20_000

const entries = Object.entries(BITES).flatMap(([word, whats]) => whats.map((what) => [what, word] as const))
const authority = createAuthority()
const { certPem: cert, keyPem: key } = authority.issue()

describe.concurrent('a naive front of ten lines around http-proxy', () => {
  it.each(entries)('fails: %s', async (what, word) => {
    const entry = TABLE.find((candidate) => candidate.what === what)
    if (entry === undefined) throw new Error(`the table has no case "${what}"`)
    expect((await violationsAlone(entry, DEADLINE_MS)).join('\n')).toContain(word)
  })

  it('passes valid requests, so the judge does not reject everything', { timeout: 150_000 }, async () => {
    for (const what of [
      'method GET',
      'length',
      'many chunks',
      'two requests',
      'no login',
      'stranger before alice',
    ]) {
      const entry = TABLE.find((candidate) => candidate.what === what)
      expect(entry === undefined ? ['missing'] : await violationsAlone(entry, IN_ORDER_DEADLINE_MS)).toEqual(
        [],
      )
    }
  })
})

// Each case gets its own front, because some cases make its connections answer other requests.
async function violationsAlone(entry: NamedCase, deadlineMs: number): Promise<readonly string[]> {
  const upstream = await startLenientUpstream()
  const certificate = { cert, key }
  const front = await startTenLineFront({
    upstreamPort: upstream.port,
    certificate,
    authorization: AUTHORIZATION,
  })
  try {
    const [outcome] = await runCases([entry], {
      target: { port: front.port, ca: authority.rootPem },
      upstream,
      front: frontThatPassesLogins(AUTHORIZATION),
      cutting: WHOLE,
      awaitsEnds: false,
      deadlineMs,
    })
    return outcome?.violations.filter((violation) => violation !== 'hangs') ?? []
  } finally {
    front.close()
    upstream.close()
  }
}
