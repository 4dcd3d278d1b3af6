import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { InvalidFileError } from '../../src/errors/errors.ts'
import { readOperatorPair } from '../../src/certificates/operator-files.ts'
import { parseChain, parseOperatorPair, type OperatorTexts } from '../../src/pki/operator-bundle.ts'
import { openssl, selfSigned } from '../fixtures/openssl.ts'
import { createAuthority, fingerprintServed, registerKey } from '../fixtures/own-certificate.ts'
import { registerSecret } from '../fixtures/run-logs.ts'
import { makeTempFolder, removeFolder, tempFolder } from '../fixtures/temp-folder.ts'

const PASSWORD = 'a password with blanks, and ü'
const DAY_MS = 86_400_000
// openssl uses the current second as start, and some calls run after this line.
const NOW = new Date(Date.now() + 60_000)
const ORIGIN = { certFile: 'tls.crt', keyFile: 'tls.key', keyPasswordFile: undefined, now: NOW }

registerSecret(PASSWORD)
const authority = createAuthority()
const pair = authority.issue()

describe('a key that openssl wrote is served with its certificate', () => {
  let keys: string
  beforeAll(() => {
    keys = makeTempFolder()
    // Once, because it takes a quarter of a second.
    openssl(keys, 'genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key')
    return () => {
      removeFolder(keys)
    }
  })
  const RSA = ''
  const EC = 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain.key'
  const PKCS8_ENCRYPTED = 'pkcs8 -topk8 -v2 aes-256-cbc -in plain.key -passout file:password -out tls.key'

  it.each<[format: string, make: string, convert: string, firstLine: string]>([
    ['RSA, PKCS#1', RSA, 'rsa -in plain.key -traditional -out tls.key', 'BEGIN RSA PRIVATE KEY'],
    ['RSA, PKCS#8', RSA, 'pkey -in plain.key -out tls.key', 'BEGIN PRIVATE KEY'],
    [
      'RSA, PKCS#1 encrypted',
      RSA,
      'rsa -in plain.key -traditional -aes256 -passout file:password -out tls.key',
      'BEGIN RSA PRIVATE KEY',
    ],
    ['RSA, PKCS#8 encrypted', RSA, PKCS8_ENCRYPTED, 'BEGIN ENCRYPTED PRIVATE KEY'],
    ['EC, SEC1', EC, 'ec -in plain.key -out tls.key', 'BEGIN EC PRIVATE KEY'],
    [
      'EC, SEC1 with its parameters in front',
      'ecparam -name secp384r1 -genkey -out plain.key',
      'ec -in plain.key -out unused.key',
      'BEGIN EC PARAMETERS',
    ],
    ['EC, PKCS#8', EC, 'pkey -in plain.key -out tls.key', 'BEGIN PRIVATE KEY'],
    [
      'EC, SEC1 encrypted',
      EC,
      'ec -in plain.key -aes256 -passout file:password -out tls.key',
      'BEGIN EC PRIVATE KEY',
    ],
    ['EC, PKCS#8 encrypted', EC, PKCS8_ENCRYPTED, 'BEGIN ENCRYPTED PRIVATE KEY'],
  ])('%s', async (_format, make, convert, firstLine) => {
    const folder = tempFolder()
    writeFileSync(path.join(folder, 'password'), `${PASSWORD}\n`)
    if (make === RSA) copyFileSync(path.join(keys, 'rsa.key'), path.join(folder, 'plain.key'))
    else openssl(folder, make)
    openssl(folder, convert)
    selfSign(folder, 'plain.key')
    const keyFile = path.join(folder, convert.includes('unused') ? 'plain.key' : 'tls.key')
    expect(readFileSync(keyFile, 'utf8').split('\n')[0]).toContain(firstLine)
    registerKey(readFileSync(path.join(folder, 'plain.key'), 'utf8'))

    const served = await serve(folder, keyFile)
    const certPem = readFileSync(path.join(folder, 'tls.crt'), 'utf8')
    expect(await fingerprintServed(served, certPem)).toBe(new X509Certificate(certPem).fingerprint256)
  })

  it('with its whole chain, so that a client needs only the root', async () => {
    const folder = tempFolder()
    makeChain(folder)
    const port = await serve(folder, path.join(folder, 'leaf.key'))
    await expect(
      fingerprintServed(port, readFileSync(path.join(folder, 'root.crt'), 'utf8')),
    ).resolves.toMatch(/:/)
  })
})

describe('the password of a key', () => {
  let folder: string
  beforeAll(() => {
    folder = makeTempFolder()
    openssl(folder, 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain.key')
    selfSign(folder, 'plain.key')
    writeFileSync(path.join(folder, 'password'), PASSWORD)
    openssl(folder, 'pkcs8 -topk8 -in plain.key -passout file:password -out tls.key')
    return () => {
      removeFolder(folder)
    }
  })
  const readWith = (password: string | undefined) => {
    const file = path.join(folder, 'given')
    if (password !== undefined) writeFileSync(file, password)
    const keyPasswordFile = password === undefined ? undefined : file
    const [certFile, keyFile] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')]
    return readOperatorPair({ certFile, keyFile, keyPasswordFile }, NOW)
  }

  it.each([
    ['without a line break', PASSWORD],
    ['with a line break', `${PASSWORD}\n`],
    ['with the line break of Windows', `${PASSWORD}\r\n`],
  ])('decrypts it, %s in its file', async (_, text) => {
    await expect(readWith(text)).resolves.toMatchObject({ kind: 'pair' })
  })

  it.each([
    ['another password', 'another password'],
    ['with a second line break', `${PASSWORD}\n\n`],
    ['no password', ''],
  ])('does not decrypt it: %s', async (_, text) => {
    const outcome = await readWith(text)
    expect(outcome).toMatchObject({ kind: 'mismatch', error: { file: path.join(folder, 'given') } })
    expect(outcome.kind === 'mismatch' && outcome.error.reason).toMatch(
      /does not decrypt .*tls\.key: write the password of that key/,
    )
  })

  it('is needed after a byte order mark too', () => {
    const [certPem = '', keyPem = ''] = ['tls.crt', 'tls.key'].map((name) =>
      readFileSync(path.join(folder, name), 'utf8'),
    )
    const texts = { certPem, keyPem: `\uFEFF${keyPem}`, keyPassword: Buffer.from(PASSWORD) }
    expect(parseOperatorPair(texts, { ...ORIGIN, keyPasswordFile: 'given' }).kind).toBe('pair')
  })

  it('is missing when no file is named', async () => {
    await expect(readWith(undefined)).rejects.toThrow(
      /tls\.key: is encrypted: .*SIDECAR_TLS_KEY_PASSWORD_FILE/,
    )
  })

  it('is not needed for a key that is not encrypted', () => {
    const texts = { ...pair, keyPassword: Buffer.from(PASSWORD) }
    expect(parseOperatorPair(texts, { ...ORIGIN, keyPasswordFile: 'given' }).kind).toBe('pair')
  })
})

describe('the certificate file', () => {
  it('may hold comments, a byte order mark, line breaks of Windows, and the key', () => {
    const text = `\uFEFF# mine\r\n${pair.certPem}${pair.keyPem}${authority.rootPem}`.replaceAll(
      /\r?\n/g,
      '\r\n',
    )
    const outcome = parseOperatorPair({ certPem: text, keyPem: `\uFEFF${pair.keyPem}` }, ORIGIN)
    expect(outcome).toMatchObject({ kind: 'pair' })
    if (outcome.kind !== 'pair') return
    expect(outcome.certificate.bundle.certPem).not.toContain('PRIVATE')
    expect(outcome.certificate.bundle.certPem.match(/BEGIN CERT/g)).toHaveLength(2)
  })

  it('may be the same file as the key', () => {
    const text = `${pair.certPem}${pair.keyPem}`
    expect(parseOperatorPair({ certPem: text, keyPem: text }, ORIGIN).kind).toBe('pair')
  })

  it('gives the root if the chain ends in one, else none', () => {
    const root = new X509Certificate(authority.rootPem)
    expect(parseChain(pair.certPem + authority.rootPem, 'tls.crt').anchor).toMatchObject({
      fingerprint: root.fingerprint256,
      pem: root.toString(),
    })
    expect(parseChain(pair.certPem, 'tls.crt').anchor).toBeUndefined()
  })

  it('is its own root if it is self-signed, even if it is not a CA', () => {
    const extensions = ['basicConstraints=critical,CA:FALSE', 'keyUsage=digitalSignature']
    const { certPem } = selfSigned('localhost', { extensions })
    expect(parseChain(certPem, 'tls.crt').anchor?.fingerprint).toBe(
      new X509Certificate(certPem).fingerprint256,
    )
  })

  it('is not its own root if it only names itself as issuer', () => {
    const folder = tempFolder()
    for (const name of ['one', 'two']) {
      openssl(folder, `genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ${name}.key`)
    }
    openssl(folder, 'req -new -key one.key -subj /CN=same -out one.csr')
    openssl(folder, 'req -x509 -key two.key -subj /CN=same -out two.crt')
    openssl(folder, 'x509 -req -in one.csr -CA two.crt -CAkey two.key -out tls.crt')
    expect(parseChain(readFileSync(path.join(folder, 'tls.crt'), 'utf8'), 'tls.crt').anchor).toBeUndefined()
  })
})

describe('a pair is refused with the fix', () => {
  const issuedAt = (days: number) => authority.issue(new Date(NOW.getTime() + days * DAY_MS))
  const root = { certPem: authority.rootPem, keyPem: '' }
  const broken = pair.certPem
    .replace(/(.{10})\n-----END/, 'AAAAAAAAAA\n-----END')
    .replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA')

  it.each<[what: string, texts: OperatorTexts, file: string, reason: RegExp]>([
    [
      'the leaf behind its issuer',
      { ...pair, certPem: root.certPem + pair.certPem },
      'tls.crt',
      /as number 2: put it first/,
    ],
    ['expired', issuedAt(-100), 'tls.crt', /expired on .*: replace it/],
    ['not valid yet', issuedAt(2), 'tls.crt', /not valid before .*: set this machine's clock/],
    [
      'without names',
      nameless(),
      'tls.crt',
      /no subject alternative names.*request a certificate with the names/,
    ],
    [
      'no certificate',
      { ...pair, certPem: 'nonsense' },
      'tls.crt',
      /no readable certificate: it must be PEM/,
    ],
    [
      'half a certificate',
      { ...pair, certPem: pair.certPem.slice(0, 300) },
      'tls.crt',
      /no readable certificate/,
    ],
    [
      'a broken certificate in the chain',
      { ...pair, certPem: pair.certPem + broken },
      'tls.crt',
      /unreadable certificate, number 2/,
    ],
    [
      'half a certificate at the end of the chain',
      { ...pair, certPem: pair.certPem + authority.rootPem.slice(0, 300) },
      'tls.crt',
      /unreadable certificate, number 2: write the whole chain again/,
    ],
    ['no key', { ...pair, keyPem: 'nonsense' }, 'tls.key', /no readable private key: it must be PEM/],
    [
      'the certificate in place of the key',
      { ...pair, keyPem: pair.certPem },
      'tls.key',
      /no readable private key/,
    ],
  ])('%s', (_, texts, file, reason) => {
    const error = refusalOf(texts)
    expect(error.file).toBe(file)
    expect(error.reason).toMatch(reason)
  })

  it('quickly: a hundred thousand begin lines', () => {
    // Searching the end for each of them would take minutes; the test may take 20 seconds.
    const certPem = '-----BEGIN CERTIFICATE-----\n'.repeat(100_000)
    expect(refusalOf({ ...pair, certPem }).reason).toMatch(/no readable certificate/)
  })

  it('if OpenSSL refuses to serve it: a short key', () => {
    expect(refusalOf(selfSigned('localhost', { key: 'rsa:512' })).reason).toMatch(
      /refuses to serve it.*2048 bits/,
    )
  })

  it('but the key of another certificate is a mismatch, because a replacement may be in progress', () => {
    expect(parseOperatorPair({ ...pair, keyPem: issuedAt(0).keyPem }, ORIGIN)).toMatchObject({
      kind: 'mismatch',
      error: {
        file: 'tls.key',
        reason: 'does not belong to tls.crt: use the certificate and key that were issued together',
      },
    })
  })

  it('and never with the key in the error', () => {
    const error = refusalOf({ ...pair, keyPem: pair.keyPem.slice(0, 150) })
    expect(`${error.stack ?? ''} ${String(error.cause)}`).not.toContain(pair.keyPem.split('\n')[1])
  })
})

function refusalOf(texts: OperatorTexts): InvalidFileError {
  try {
    parseOperatorPair(texts, ORIGIN)
  } catch (error) {
    if (error instanceof InvalidFileError) return error
    throw error
  }
  throw new Error('It was accepted.')
}

function nameless(): OperatorTexts {
  const folder = makeTempFolder()
  openssl(folder, 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out nameless.key')
  openssl(folder, 'req -x509 -key nameless.key -subj /CN=localhost -days 9 -out nameless.crt')
  const [certPem = '', keyPem = ''] = ['nameless.crt', 'nameless.key'].map((name) =>
    readFileSync(path.join(folder, name), 'utf8'),
  )
  removeFolder(folder)
  return { certPem, keyPem }
}

/** Writes a self-signed tls.crt for localhost. */
function selfSign(folder: string, key: string): void {
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  openssl(folder, `req -x509 -key ${key} -subj /CN=localhost -days 9 -addext ${names} -out tls.crt`)
}

/** Writes root.crt, leaf.key and tls.crt: a leaf and the intermediate that issued it. */
function makeChain(folder: string): void {
  for (const name of ['root', 'middle', 'leaf'])
    openssl(folder, `ecparam -name prime256v1 -genkey -noout -out ${name}.key`)
  writeFileSync(path.join(folder, 'ca.ext'), 'basicConstraints=critical,CA:TRUE\n')
  writeFileSync(path.join(folder, 'leaf.ext'), 'subjectAltName=DNS:localhost\n')
  openssl(folder, 'req -x509 -key root.key -subj /CN=root -days 9 -out root.crt')
  openssl(folder, 'req -new -key middle.key -subj /CN=middle -out middle.csr')
  openssl(
    folder,
    'x509 -req -in middle.csr -CA root.crt -CAkey root.key -extfile ca.ext -days 9 -out middle.crt',
  )
  openssl(folder, 'req -new -key leaf.key -subj /CN=leaf -out leaf.csr')
  openssl(
    folder,
    'x509 -req -in leaf.csr -CA middle.crt -CAkey middle.key -extfile leaf.ext -days 9 -out tls.crt',
  )
  appendFileSync(path.join(folder, 'tls.crt'), readFileSync(path.join(folder, 'middle.crt')))
}

/** Resolves to the port of a server that serves the files of the folder. */
async function serve(folder: string, keyFile: string): Promise<number> {
  const files = {
    certFile: path.join(folder, 'tls.crt'),
    keyFile,
    keyPasswordFile: path.join(folder, 'password'),
  }
  if (!keyFile.endsWith('tls.key')) writeFileSync(files.keyPasswordFile, '')
  const outcome = await readOperatorPair(files, new Date())
  if (outcome.kind === 'mismatch') throw outcome.error
  const { certPem, keyPem } = outcome.certificate.bundle
  const server = createServer({ cert: certPem, key: keyPem }, (_, response) => response.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
  })
  return (server.address() as AddressInfo).port
}
