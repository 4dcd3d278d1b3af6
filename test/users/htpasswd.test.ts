import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import type { UserTable } from '../../src/users/user-table.ts'
import { InvalidFileError } from '../../src/errors/errors.ts'

const DIGEST = 'abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234'
const hashOf = (cost: number, variant = 'y'): string =>
  `$2${variant}$${String(cost).padStart(2, '0')}$${DIGEST}`
const HASH = hashOf(10)

const parse = (text: string | Buffer): UserTable => parseHtpasswd(Buffer.from(text), 'users/htpasswd')
const names = (table: UserTable): readonly string[] => [...table.entries.keys()]

function refusal(text: string | Buffer): InvalidFileError {
  try {
    parse(text)
  } catch (error) {
    if (error instanceof InvalidFileError) return error
  }
  throw new Error('the file was not refused')
}

describe('an entry', () => {
  it.each(['a', 'b', 'y'])('with the variant $2%s$ is accepted', (variant) => {
    const hash = hashOf(12, variant)
    expect(parse(`alice:${hash}\n`).entries.get('alice')).toEqual({
      username: 'alice',
      hash,
      cost: 12,
      line: 1,
      previous: [],
    })
  })

  it.each([4, 15])('with cost %d is accepted', (cost) => {
    expect(parse(`alice:${hashOf(cost)}`).entries.get('alice')?.cost).toBe(cost)
  })
})

describe('a file is read in spite of', () => {
  it.each<[what: string, text: string | Buffer]>([
    ['a byte order mark', `\ufeffalice:${HASH}\nbob:${HASH}\n`],
    ['CRLF', `alice:${HASH}\r\nbob:${HASH}\r\n`],
    ['a missing final newline', `alice:${HASH}\nbob:${HASH}`],
    ['blank lines', `\n\nalice:${HASH}\n   \nbob:${HASH}\n\n`],
    ['comments', `# the team\nalice:${HASH}\n  # indented\nbob:${HASH}\n#carol:${HASH}\n`],
    ['trailing blanks', `alice:${HASH}  \t\nbob:${HASH} \n`],
    ['more fields', `alice:${HASH}:Alice:in:Wonderland\nbob:${HASH}:\n`],
  ])('%s', (_what, text) => {
    const table = parse(text)
    expect(names(table)).toEqual(['alice', 'bob'])
    expect(table.problems).toEqual([])
    expect(table.entries.get('alice')?.hash).toBe(HASH)
  })
})

describe('only one line is skipped when it contains', () => {
  const SECRET = 'hunter2hunter2'
  it.each<[what: string, line: string, reason: RegExp]>([
    [
      'Apache MD5',
      `bob:$apr1$${SECRET}`,
      /^bob has Apache MD5 .*registry-sidecar user passwd bob.*htpasswd -B/,
    ],
    ['SHA-1', `bob:{SHA}${SECRET}`, /SHA-1/],
    ['SHA-256', `bob:$5$${SECRET}`, /SHA-256/],
    ['SHA-512', `bob:$6$rounds=5000$${SECRET}`, /SHA-512/],
    ['Argon2', `bob:$argon2id$v=19$${SECRET}`, /Argon2/],
    ['the broken variant $2x$', `bob:$2x$10$${DIGEST}`, /broken old variant/],
    [
      'the doubled $ of a compose file',
      `bob:${HASH.replaceAll('$', '$$$$')}`,
      /^bob has a bcrypt hash whose \$ are doubled \(\$\$\), .*; write each \$ once$/,
    ],
    ['Apache MD5 with doubled $', `bob:$$apr1$$${SECRET}`, /Apache MD5/],
    ['a cut hash with doubled $', `bob:$$2y$$10$$${SECRET}`, /plain text, or an unknown kind/],
    ['plain text that begins with $$', `bob:$$${SECRET}`, /^this line has plain text/],
    [
      'a hash with doubled $ as the name',
      `${HASH.replaceAll('$', '$$$$')}:$apr1$x`,
      /^the name looks like a hash/,
    ],
    ['crypt', 'bob:rqXexS6ZhobKA', /crypt, or plain text/],
    ['plain text', `bob:${SECRET}`, /plain text/],
    ['swapped fields', `${HASH}:bob`, /^the name looks like a hash; an entry is NAME:HASH$/],
    ['a password on the wrong side', `${SECRET}:bob`, /^this line has plain text/],
    ['plain text alone', SECRET, /^no colon; an entry is NAME:HASH$/],
    ['no hash', 'bob:', /no hash/],
    ['a cost of one digit', `bob:$2y$5$${DIGEST}`, /two digits/],
    ['a cost of three digits', `bob:$2y$010$${DIGEST}`, /two digits/],
    ['a cost below 4', `bob:${hashOf(3)}`, /cost 3, below 4/],
    ['a cost over 15', `bob:${hashOf(16)}`, /cost 16, over 15: one login would take seconds or minutes/],
    ['a hash cut short', `bob:${HASH.slice(0, -1)}`, /52 characters after its cost/],
    ['a hash too long', `bob:${HASH}x`, /54 characters after its cost/],
    ['a character that no hash contains', `bob:${HASH.slice(0, -1)}!`, /characters that no hash has/],
    ['blanks inside', `bob:${HASH} ${SECRET}`, /characters after its cost/],
    ['no name', `:${HASH}`, /^the name is empty$/],
    ['a blank before the name', ` ${SECRET}:${HASH}`, /^the name begins or ends with a blank$/],
    ['a blank after the name', `${SECRET} :${HASH}`, /^the name begins or ends with a blank$/],
    ['a control character in the name', `${SECRET}\x1b[2J:${HASH}`, /^the name holds a control character$/],
    ['NUL bytes alone', '\0\0\0\0', /^the line holds NUL bytes; remove it$/],
    ['a NUL byte in the name', `${SECRET}\0:${HASH}`, /^the line holds NUL bytes; remove it$/],
    ['a NUL byte after the hash', `bob:${HASH}\0`, /^the line holds NUL bytes; remove it$/],
    ['a NUL byte in a further field', `bob:${HASH}:\0${SECRET}`, /^the line holds NUL bytes; remove it$/],
    ['a NUL byte in a comment', `# ${SECRET}\0`, /^the line holds NUL bytes; remove it$/],
    ['an escape sequence behind the hash', `bob:${HASH}\x1b[2J`, /characters after its cost/],
    ['a very long name', `${SECRET.repeat(20)}:${HASH}`, /^the name is longer than 255 bytes$/],
  ])('%s', (_what, line, reason) => {
    const { entries, problems } = parse(`alice:${HASH}\n${line}\ncarol:${HASH}\n`)
    expect([...entries.keys()]).toEqual(['alice', 'carol'])
    expect(problems).toMatchObject([{ line: 2, reason: expect.stringMatching(reason) as string }])
    expect(JSON.stringify(problems)).not.toMatch(new RegExp(`${SECRET}|${DIGEST}|rqXexS6ZhobKA`))
  })

  it('bytes that are not UTF-8', () => {
    const table = parse(
      Buffer.concat([
        Buffer.from(`alice:${HASH}\nj`),
        Buffer.from([0xfc]),
        Buffer.from(`rgen:${HASH}\nzoë:${HASH}`),
      ]),
    )
    expect(names(table)).toEqual(['alice', 'zoë'])
    expect(table.problems).toEqual([{ line: 2, kind: 'not UTF-8', reason: 'not UTF-8 text' }])
  })

  it.each([
    ['a byte order mark', Buffer.from([0xff, 0xfe])],
    ['NUL in every other byte', Buffer.from('a\0b\0')],
  ])('bytes like the beginning of UTF-16 text: %s', (_what, damage) => {
    const table = parse(Buffer.concat([damage, Buffer.from(`\nalice:${HASH}\n`)]))
    expect(names(table)).toEqual(['alice'])
    expect(table.problems.map(({ line }) => line)).toEqual([1])
  })

  it('a name of an earlier line', () => {
    const { entries, problems } = parse(`alice:${hashOf(5)}\nbob:${HASH}\nalice:${hashOf(6)}\n`)
    expect(entries.get('alice')).toMatchObject({ cost: 5, line: 1 })
    expect(problems).toEqual([
      { line: 3, kind: 'duplicate name', reason: 'alice is there already, in line 1, which counts' },
    ])
  })

  it('a name that is dangerous in a shell, and the fix does not contain it', () => {
    const [problem] = parse(`alice:${HASH}\nx; rm -rf ~:plain`).problems
    expect(problem?.reason).toContain('user passwd NAME')
  })
})

describe('a file without users', () => {
  it.each([
    ['0 bytes', ''],
    ['blank lines', '\n \r\n\n'],
    ['comments', '# nobody\n#alice:x'],
    ['a byte order mark', '\ufeff'],
  ])('is an empty table: %s', (_what, text) => {
    expect(parse(text)).toMatchObject({ entries: new Map(), problems: [] })
  })
})

describe('a file is refused as a whole', () => {
  it.each<[what: string, bytes: Buffer, reason: RegExp]>([
    ['NUL bytes', Buffer.from('\0'), /^no line is a usable entry; line 1: the line holds NUL bytes/],
    ['a comment and NUL bytes', Buffer.from('# team\0\0\0'), /^no line is a usable entry; line 1: .*NUL/],
    ['UTF-16 with a byte order mark', Buffer.from(`\ufeffalice:${HASH}\n`, 'utf16le'), /UTF-16 text; save it as UTF-8/],
    ['UTF-16 without a byte order mark', Buffer.from(`alice:${HASH}\n`, 'utf16le'), /UTF-16/],
    ['UTF-16 in the other byte order', Buffer.from(`\ufeffalice:${HASH}\n`, 'utf16le').swap16(), /UTF-16/],
    [
      'no usable entry',
      Buffer.from('# team\nalice:hunter2\nbob:hunter2\n'),
      /^no line is a usable entry; line 2: this line has plain/,
    ],
    ['an error page', Buffer.from('<html>\n<p>hunter2</p>'), /^no line is a usable entry; line 1: no colon/],
  ])('%s', (_what, bytes, reason) => {
    const error = refusal(bytes)
    expect(error.file).toBe('users/htpasswd')
    expect(error.reason).toMatch(reason)
    expect(error.message).not.toContain('hunter2')
  })
})
