import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  createRulesReader,
  MAX_RULES_FILE_BYTES,
  readRules,
  RulesFileError,
} from '../../../src/access/rules-file/read-rules.ts'
import { repetitions } from '../../fixtures/repetitions.ts'
import { startedThreads } from '../../fixtures/started-threads.ts'

const reader = createRulesReader()
afterAll(() => reader.close())

const read = (text: string): ReturnType<typeof readRules> => reader.read(Buffer.from(text))

const LINE = '- {who: a, repositories: ["team/**"], allow: [pull]}\n'
const manyRules = (count: number): string => `rules:\n${LINE.repeat(count)}`

// How often a hostile file of almost the largest size repeats one byte; usually a smaller file.
const DEPTH = repetitions({ usual: 40_000, stress: 200_000 })

// Each level lists the one before nine times: 9^20 items.
const BILLION_LAUGHS = [
  'l0: &l0 [ha]',
  ...Array.from({ length: 20 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`),
].join('\n')

describe('reading a rules file', () => {
  it('gives the rules', async () => {
    const file = await read(manyRules(2))
    expect(file.rules).toHaveLength(2)
    expect(file.rules[1]).toMatchObject({ line: 3, column: 3, allow: ['pull'] })
  })

  it('lists every problem with line and column, one a line', async () => {
    const error: unknown = await read('rules: [1]\nfoo: 2').catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(RulesFileError)
    expect((error as RulesFileError).message).toBe(
      'line 1, column 9: expected a mapping, found 1\nline 2, column 1: unknown key "foo"',
    )
  })

  it('takes a file of the largest size, while the event loop goes on', async () => {
    const count = Math.floor((MAX_RULES_FILE_BYTES - 10) / LINE.length)
    let turns = 0
    const timer = setInterval(() => {
      turns += 1
    }, 5)
    const file = await read(manyRules(count))
    clearInterval(timer)
    expect(file.rules).toHaveLength(count)
    expect(turns).toBeGreaterThan(10)
  })

  it.each([
    ['10 MB', ' '.repeat(10_000_000), 'larger than 256 KiB'],
    ['100,000 rules', manyRules(100_000), 'larger than 256 KiB'],
    ['aliases that expand without end', BILLION_LAUGHS, 'aliases are not supported'],
    ['an alias to itself', 'rules: &r [*r]', 'aliases are not supported'],
    ['a repeated key', 'rules: []\nrules: []', 'appears twice in this mapping'],
    [
      'thousands of groups, repeated',
      `groups:\n${' ci: [a]\n'.repeat(DEPTH / 10)}rules: []`,
      'appears twice in this mapping',
    ],
    ['deep nesting', '['.repeat(DEPTH), 'too deeply'],
    ['a deep block', '- '.repeat(DEPTH / 2), 'too deeply'],
    ['nothing but NUL', '\0'.repeat(1_000), 'line 1, column 1'],
  ])('refuses %s within seconds', async (_what, text, message) => {
    const start = performance.now()
    await expect(read(text)).rejects.toThrow(message)
    expect(performance.now() - start).toBeLessThan(15_000)
  })

  it('refuses bytes that are not UTF-8', async () => {
    await expect(readRules(Buffer.from([0x72, 0xff]))).rejects.toThrow('not UTF-8')
  })

  it('gives up at the deadline, whatever the parser is doing', async () => {
    const text = `"${'\\q'.repeat(100_000)}"`
    await expect(readRules(Buffer.from(text), { timeoutMs: 20 })).rejects.toThrow('takes over 0.02 s')
  })

  it('keeps its thread for changes that follow at once, and none when it is idle', async () => {
    const threads = startedThreads()
    const brief = createRulesReader({ idleTimeoutMs: 500 })
    onTestFinished(() => brief.close())
    for (const count of [1, 2, 3])
      expect((await brief.read(Buffer.from(manyRules(count)))).rules).toHaveLength(count)
    expect(threads).toHaveLength(1)
    await threads[0]?.ended
  })

  it('goes on after a file that took too long', async () => {
    const hasty = createRulesReader({ timeoutMs: 200 })
    const hostile = Buffer.from(`"${'\\q'.repeat(100_000)}"`)
    await expect(hasty.read(hostile)).rejects.toThrow('takes over 0.2 s')
    expect((await hasty.read(Buffer.from(manyRules(2)))).rules).toHaveLength(2)
    await hasty.close()
  })
})
