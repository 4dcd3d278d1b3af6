// Checks the errors for files that people use instead of a certificate and key.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { InvalidFileError } from '../../src/errors/errors.ts'
import { readOperatorPair, type OperatorFiles } from '../../src/certificates/operator-files.ts'
import { selfSigned } from '../fixtures/openssl.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { asNobody } from '../fixtures/nobody.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const authority = createAuthority()
const MUST_BE_READABLE = 'must name a file that the user of this process may read'

type Damage = (files: OperatorFiles, pair: ReturnType<typeof authority.issue>) => void

describe('a file is refused, with the fix', () => {
  it.each<readonly [what: string, damage: Damage, file: keyof OperatorFiles, reason: RegExp]>([
    [
      'the certificate as DER',
      ({ certFile }, { certPem }) => {
        writeFileSync(certFile, new X509Certificate(certPem).raw)
      },
      'certFile',
      /no readable certificate: it must be PEM .*`openssl x509 -inform der -in FILE` converts DER/,
    ],
    [
      'the key as DER',
      ({ keyFile }, { keyPem }) => {
        writeFileSync(keyFile, createPrivateKey(keyPem).export({ format: 'der', type: 'pkcs8' }))
      },
      'keyFile',
      /no readable private key: it must be PEM.*`openssl pkey -inform der -in FILE` converts DER/,
    ],
    [
      'the certificate in UTF-16, as Windows writes it',
      ({ certFile }, { certPem }) => {
        writeFileSync(certFile, `\uFEFF${certPem}`, 'utf16le')
      },
      'certFile',
      /no readable certificate: it must be PEM/,
    ],
    [
      'the key, half-written',
      ({ keyFile }, { keyPem }) => {
        writeFileSync(keyFile, keyPem.slice(0, 120))
      },
      'keyFile',
      /no readable private key: it must be PEM/,
    ],
    [
      'no certificate file',
      ({ certFile }) => {
        rmSync(certFile)
      },
      'certFile',
      new RegExp(`^is missing: SIDECAR_TLS_CERT ${MUST_BE_READABLE}$`),
    ],
    [
      'no key file',
      ({ keyFile }) => {
        rmSync(keyFile)
      },
      'keyFile',
      new RegExp(`^is missing: SIDECAR_TLS_KEY ${MUST_BE_READABLE}$`),
    ],
    [
      'no password file',
      () => undefined,
      'keyPasswordFile',
      new RegExp(`^is missing: SIDECAR_TLS_KEY_PASSWORD_FILE ${MUST_BE_READABLE}$`),
    ],
    [
      'a folder that docker made for a file missing on the host',
      ({ keyFile }) => {
        rmSync(keyFile)
        mkdirSync(keyFile)
      },
      'keyFile',
      /is a folder, not a file; docker creates a folder if .*: SIDECAR_TLS_KEY must name a file/,
    ],
  ])('%s', async (_, damage, file, reason) => {
    const pair = authority.issue()
    const files = filesWith(pair)
    damage(files, pair)
    const asked =
      file === 'keyPasswordFile' ? { ...files, keyPasswordFile: path.join(tempFolder(), 'none') } : files
    const error = await refusalOf(asked)
    expect([error.file, error.reason]).toEqual([asked[file], expect.stringMatching(reason)])
  })

  it('a key that only root may read, as certbot leaves it', async () => {
    const files = filesWith(authority.issue())
    chmodSync(path.dirname(files.keyFile), 0o755)
    // Mode 000 also locks out its owner when the tests do not run as root.
    chmodSync(files.keyFile, 0o000)
    const error = await asNobody(() => refusalOf(files))
    expect(error.reason).toBe(
      `this process has no permission to read it (EACCES): SIDECAR_TLS_KEY ${MUST_BE_READABLE}`,
    )
  })

  it.each([
    [
      'only for clients',
      'ec -pkeyopt ec_paramgen_curve:P-256',
      ['extendedKeyUsage=clientAuth'],
      /lacks serverAuth\): request a certificate for a server/,
    ],
    [
      'with a key on a curve that clients do not offer',
      'ec -pkeyopt ec_paramgen_curve:secp256k1',
      [],
      /docker does not accept \(secp256k1\): request a certificate with a P-256/,
    ],
    [
      'with an RSA-PSS key, which Go does not support',
      'rsa-pss -pkeyopt rsa_keygen_bits:2048',
      [],
      /docker does not accept \(rsa-pss\)/,
    ],
  ])('a certificate %s', async (_, key, extensions, reason) => {
    const error = await refusalOf(filesWith(selfSigned('localhost', { key, extensions })))
    expect(error.reason).toMatch(reason)
  })
})

describe('a file is accepted', () => {
  it.each([
    [
      'a certificate that is a CA too, as `openssl req -x509` issues it',
      ['basicConstraints=critical,CA:TRUE'],
    ],
    ['a certificate for servers and clients', ['extendedKeyUsage=clientAuth,serverAuth']],
    ['a certificate for any purpose', ['extendedKeyUsage=anyExtendedKeyUsage']],
  ])('%s', async (_, extensions) => {
    const files = filesWith(selfSigned('localhost', { extensions }))
    await expect(readOperatorPair(files, new Date(Date.now() + 60_000))).resolves.toMatchObject({
      kind: 'pair',
    })
  })

  it('a chain whose issuers have another order, because clients sort them', async () => {
    const files = filesWith(authority.issue())
    const others = [createAuthority().rootPem, authority.rootPem]
    writeFileSync(files.certFile, readFileSync(files.certFile, 'utf8') + others.join(''))
    await expect(readOperatorPair(files, new Date())).resolves.toMatchObject({ kind: 'pair' })
  })
})

function filesWith({ certPem, keyPem }: ReturnType<typeof authority.issue>): OperatorFiles {
  const folder = tempFolder()
  const files = { certFile: path.join(folder, 'tls.crt'), keyFile: path.join(folder, 'tls.key') }
  writeFileSync(files.certFile, certPem)
  writeFileSync(files.keyFile, keyPem)
  return { ...files, keyPasswordFile: undefined }
}

async function refusalOf(files: OperatorFiles): Promise<InvalidFileError> {
  const error = await readOperatorPair(files, new Date(Date.now() + 60_000)).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof InvalidFileError) return error
  throw new Error('It was accepted.', { cause: error })
}
