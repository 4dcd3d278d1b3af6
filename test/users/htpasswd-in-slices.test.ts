import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseHtpasswd, parseHtpasswdInSlices } from '../../src/users/htpasswd.ts'
import type { UserTable } from '../../src/users/user-table.ts'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'
import { repetitions } from '../fixtures/repetitions.ts'

const DIGEST = 'abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234'
const HASH = `$2y$10$${DIGEST}`
const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const KEPT = formatKeptLine({
  username: 'alice',
  hash: `$2y$06$${DIGEST}`,
  validUntil: NOW + 1,
  binding: bindingOf(HASH),
})

/** The parts of a table that two reads have in common. Dummy hashes are random, so only their costs are equal. */
function comparable({ dummyHashes, entries, problems }: UserTable) {
  return { costs: dummyHashes.map((dummyHash) => dummyHash.slice(0, 7)), entries: [...entries], problems }
}

describe('reading in slices has the same result as reading at once', () => {
  it.each<[what: string, content: string | Buffer]>([
    ['no bytes', ''],
    ['one entry', `alice:${HASH}\n`],
    ['no line feed at the end', `alice:${HASH}\nbob:${HASH}`],
    ['line feeds alone', '\n'.repeat(1_000)],
    ['a byte order mark', `\ufeffalice:${HASH}\n`],
    ['a byte order mark alone', '\ufeff'],
    ['CRLF', `alice:${HASH}\r\n\r\nbob:${HASH}\r\n`],
    ['comments', `# team\nalice:${HASH}\n#\n`],
    ['comments alone', '# team\n'.repeat(1_000)],
    ['names in UTF-8', `zoë:${HASH}\n日本 語:${HASH}\n😀:${HASH}\n`],
    ['a line in Latin-1', Buffer.from(`alice:${HASH}\nj\xfcrgen:${HASH}\nbob:${HASH}\n`, 'latin1')],
    [
      'a character cut in two by a line feed',
      Buffer.concat([Buffer.from('a\xc3\n', 'latin1'), Buffer.from(`b:${HASH}`)]),
    ],
    ['line separators of Unicode', `alice\u2028x:${HASH}\nbob:${HASH}\u2029\n`],
    ['a line of five megabytes', `alice:${HASH}\n${'x'.repeat(5_000_000)}\nbob:${HASH}\n`],
    ['duplicates and damage', `alice:${HASH}\nalice:x\nbob\n:${HASH}\nalice:${HASH}\n`],
    ['a kept old password', `alice:${HASH}\n${KEPT}\n`],
    ['an old password before its entry', `${KEPT}\nalice:${HASH}\n`],
    ['an old password without an entry', `${KEPT}\nbob:${HASH}\n`],
    ['thousands of each', `alice:${HASH}\n${KEPT}\nx\n# y\n`.repeat(2_000) + `bob:$2y$12$${DIGEST}\n`],
  ])('%s', async (_what, content) => {
    const bytes = Buffer.from(content)
    const atOnce = parseHtpasswd(bytes, 'htpasswd', NOW)
    const inSlices = await parseHtpasswdInSlices(bytes, 'htpasswd', NOW)
    expect(comparable(inSlices)).toEqual(comparable(atOnce))
  })

  it.each<[what: string, content: string | Buffer]>([
    ['NUL bytes', 'alice\n\0'],
    ['UTF-16', Buffer.from(`alice:${HASH}\n`, 'utf16le')],
    ['no usable entry', 'alice:hunter2\n'],
    ['half a byte order mark', Buffer.from([0xef, 0xbb])],
    ['carriage returns alone', `alice:${HASH}\rbob:${HASH}\r`],
    ['thousands of lines and no usable entry', 'alice:hunter2\n'.repeat(10_000)],
  ])('for a file that is refused: %s', async (_what, content) => {
    const bytes = Buffer.from(content)
    const atOnce = new Promise((resolve) => {
      resolve(parseHtpasswd(bytes, 'htpasswd', NOW))
    })
    const reason = await atOnce.catch((error: unknown) => error)
    await expect(parseHtpasswdInSlices(bytes, 'htpasswd', NOW)).rejects.toEqual(reason)
    expect(reason).toMatchObject({ name: 'InvalidFileError' })
  })
})

/** How often the event loop turned during `action`, and for how long it was blocked at most. */
async function turnsDuring(action: () => Promise<unknown>) {
  let [turns, longestMs, last, isOver] = [0, 0, performance.now(), false]
  const turned = (): void => {
    turns += 1
    longestMs = Math.max(longestMs, performance.now() - last)
    last = performance.now()
    if (!isOver) setImmediate(turned)
  }
  setImmediate(turned)
  const start = performance.now()
  await action()
  isOver = true
  const stood = Math.max(longestMs, performance.now() - last)
  return { turns, longestMs: stood, tookMs: performance.now() - start }
}

const LINES = repetitions({ usual: 30_000, stress: 100_000 })

describe(`${LINES} lines`, () => {
  const randomHash = (): string =>
    `$2y$10$${randomBytes(40).toString('base64').replaceAll('+', '.').slice(0, 53)}`
  const lines = Array.from({ length: LINES }, (_, index) => `user-${index}:${randomHash()}\n`).join('')

  it.each<[what: string, bytes: Buffer]>([
    ['in UTF-8', Buffer.from(lines)],
    ['with one line that is not UTF-8', Buffer.concat([Buffer.from(lines), Buffer.from([0xff])])],
    ['with only one undamaged line', Buffer.from(`${lines.replaceAll('$10$', '$99$')}alice:${HASH}\n`)],
  ])('are read while the event loop turns: %s', async (what, bytes) => {
    let size = 0
    const { turns, longestMs, tookMs } = await turnsDuring(async () => {
      const { entries, problems } = await parseHtpasswdInSlices(bytes, 'htpasswd', NOW)
      size = entries.size + problems.length
    })
    console.info(
      `${LINES} lines ${what}: ${(bytes.length / 1e6).toFixed(1)} MB in ${tookMs.toFixed(0)} ms, ` +
        `${turns} turns of the event loop, the longest ${longestMs.toFixed(1)} ms`,
    )
    expect(size).toBeGreaterThanOrEqual(LINES)
    expect(turns).toBeGreaterThan(5)
  })

  it('are read while the event loop turns: half of them old passwords', async () => {
    const pairs = Array.from({ length: LINES / 2 }, (_, index) => {
      const [username, hash] = [`user ${index}`, randomHash()]
      const kept = { username, hash: randomHash(), validUntil: NOW + 1, binding: bindingOf(hash) }
      return `${username}:${hash}\n${formatKeptLine(kept)}\n`
    })
    const bytes = Buffer.from(pairs.join(''))
    let kept = 0
    const { turns, longestMs, tookMs } = await turnsDuring(async () => {
      const { entries } = await parseHtpasswdInSlices(bytes, 'htpasswd', NOW)
      kept = [...entries.values()].filter(({ previous }) => previous.length === 1).length
    })
    console.info(
      `${LINES / 2} users, each with an old password: ${tookMs.toFixed(0)} ms, the longest turn ${longestMs.toFixed(1)} ms`,
    )
    expect(kept).toBe(LINES / 2)
    expect(turns).toBeGreaterThan(5)
  })
})
