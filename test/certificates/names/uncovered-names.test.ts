import { describe, expect, it } from 'vitest'
import type { RequestedName } from '../../../src/http/connections/requested-names.ts'
import type { CertificateInForce } from '../../../src/certificates/certificate-in-force.ts'
import type { Root } from '../../../src/pki/certificate.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { createUncoveredNames } from '../../../src/certificates/names/uncovered-names.ts'
import { recordedLog } from '../../fixtures/recorded-log.ts'

const DAY_MS = 86_400_000
const ROOT: Root = { file: 'root.crt', pem: '', fingerprint: '', notAfter: new Date(0) }

interface Settings {
  readonly origin?: CertificateInForce['origin']
  readonly root?: Root | undefined
}

function setScene({ origin = 'issued', ...settings }: Settings = {}) {
  const { log, lines } = recordedLog()
  let now = 0
  let subjectAltNames: readonly SubjectAltName[] = [
    { type: 'dns', value: 'proxy' },
    { type: 'dns', value: '*.lab.example' },
    { type: 'ip', value: '10.0.0.1' },
    { type: 'ip', value: '2001:db8::1' },
  ]
  const names = createUncoveredNames({
    certificate: {
      origin,
      root: 'root' in settings ? settings.root : ROOT,
      get current() {
        const leaf = { subjectAltNames, notBefore: new Date(0), notAfter: new Date(0), fingerprint: '' }
        return { certPem: '', keyPem: '', leaf }
      },
    },
    log,
    clock: () => now,
  })
  const requested = (
    name: string,
    { by = 'server name', address = '192.0.2.1' }: Partial<RequestedName> = {},
  ): RequestedName => ({ name, by, address })
  return {
    lines,
    ask: (name: string, how?: Partial<RequestedName>) => {
      names.requested(requested(name, how))
    },
    refuse: (name: string, alert: Parameters<typeof names.refused>[1], how?: Partial<RequestedName>) => {
      names.refused(requested(name, how), alert)
    },
    pass: (ms: number) => (now += ms),
    reissue: (next: readonly SubjectAltName[]) => (subjectAltNames = next),
  }
}

const hintsIn = (lines: readonly Record<string, unknown>[]) => lines.map(({ hint }) => hint)

describe('a name that the leaf does not cover', () => {
  it('is logged once, with the client and the fix', () => {
    const { ask, lines } = setScene()
    ask('Other.example.')
    ask('other.example', { address: '192.0.2.2', by: 'host header' })
    expect(lines).toEqual([
      expect.objectContaining({
        level: 40,
        msg: 'a client uses a name that the leaf does not cover',
        address: '192.0.2.1',
        name: 'other.example',
        by: 'server name',
        hint: 'add other.example to SIDECAR_HOSTS and start again',
      }),
    ])
  })

  it('is logged again after a day', () => {
    const { ask, pass, lines } = setScene()
    ask('other')
    pass(DAY_MS - 1)
    ask('other')
    expect(lines).toHaveLength(1)
    pass(1)
    ask('other')
    expect(lines).toHaveLength(2)
  })

  it.each(['proxy', 'PROXY.', 'a.lab.example', '10.0.0.1', '[2001:DB8:0::1]', '2001:db8::1'])(
    'is not logged for %s, which the leaf covers',
    (name) => {
      const { ask, lines } = setScene()
      ask(name)
      expect(lines).toEqual([])
    },
  )

  it.each([
    '',
    'a\r\n{"level":60}',
    'a b',
    '*.example',
    'fe80::1%eth0',
    'x'.repeat(64),
    '[::1',
    'pro\0xy',
    '1.2.3',
  ])('is not logged when no certificate can contain it: %j', (name) => {
    const { ask, refuse, lines } = setScene()
    ask(name)
    expect(lines).toEqual([])
    refuse(name, 'unknown ca')
    expect(lines.map((line) => line['name'])).toEqual([undefined])
  })

  it('is looked up in the leaf in force', () => {
    const { ask, reissue, lines } = setScene()
    reissue([{ type: 'dns', value: 'other' }])
    ask('other')
    ask('proxy')
    expect(lines.map(({ name }) => name)).toEqual(['proxy'])
  })

  it('is logged for ten invented names of one source, and still for other sources', () => {
    const { ask, lines } = setScene()
    for (let count = 0; count < 1_000; count++) ask(`made-up-${count}`)
    expect(lines).toHaveLength(11)
    expect(lines.at(-1)).toMatchObject({
      msg: 'clients use further names that the leaf does not cover; they are not logged today',
    })
    ask('other', { address: '192.0.2.2' })
    expect(lines.at(-1)).toMatchObject({ name: 'other' })
  })

  it('is logged for a hundred names a day in total', () => {
    const { ask, pass, lines } = setScene()
    const flood = () => {
      for (let count = 0; count < 1_000; count++)
        ask(`made-up-${count}`, { address: `192.0.2.${count % 250}` })
    }
    flood()
    expect(lines).toHaveLength(101)
    pass(DAY_MS)
    flood()
    expect(lines).toHaveLength(202)
  })

  it('is logged for ten names of one IPv6 network, as for one source', () => {
    const { ask, lines } = setScene()
    for (let count = 0; count < 100; count++) ask(`made-up-${count}`, { address: `2001:db8::${count}` })
    expect(lines).toHaveLength(11)
  })

  it('is reported with a hint for the issuer, when the certificate was issued elsewhere', () => {
    const { ask, lines } = setScene({ origin: 'own', root: undefined })
    ask('other')
    expect(hintsIn(lines)).toEqual(['request a certificate that contains other for SIDECAR_TLS_CERT'])
  })

  it('is reported with a hint for another root too, when the root is not valid for it', () => {
    const { ask, lines } = setScene({ root: { ...ROOT, permitted: [{ type: 'dns', value: 'example' }] } })
    ask('a.example')
    ask('other')
    expect(hintsIn(lines)).toEqual([
      'add a.example to SIDECAR_HOSTS and start again',
      expect.stringMatching(
        /add other to SIDECAR_HOSTS .* empty state folder, because the root is not valid for that name/,
      ),
    ])
  })
})

describe('a client that refuses the certificate', () => {
  it('and uses a covered name is logged once per address, with the way to trust the root', () => {
    const { refuse, lines } = setScene()
    refuse('proxy', 'bad certificate')
    refuse('a.lab.example', 'unknown ca')
    refuse('proxy', 'bad certificate', { address: '192.0.2.2' })
    const [first, ...others] = lines
    expect(first).toMatchObject({
      level: 40,
      msg: 'a client refused the certificate: the client does not seem to trust the root',
      address: '192.0.2.1',
      name: 'proxy',
      alert: 'bad certificate',
      hint: 'make it trust the root: `registry-sidecar trust` shows how, and /-/ca.crt contains it',
    })
    expect(others.map(({ address }) => address)).toEqual(['192.0.2.2'])
  })

  it('because of the name alone is logged with a hint for the name alone', () => {
    const { refuse, lines } = setScene()
    refuse('other', 'bad certificate')
    expect(hintsIn(lines)).toEqual(['add other to SIDECAR_HOSTS and start again'])
  })

  it('because of the root, and uses another name too, is logged with both hints', () => {
    const { refuse, lines } = setScene()
    refuse('other', 'unknown ca')
    expect(hintsIn(lines)).toEqual([
      expect.stringMatching(/^add other/),
      expect.stringMatching(/^make it trust/),
    ])
  })

  it('and sends no name in its handshake is logged with a hint for the address that it dialed', () => {
    const { refuse, lines } = setScene()
    refuse('10.0.0.1', 'bad certificate', { by: 'address' })
    expect(hintsIn(lines)).toEqual([
      expect.stringMatching(
        /trust the root.*; or, if it dials an address other than 10\.0\.0\.1, add that address to SIDECAR_HOSTS$/,
      ),
    ])
  })

  it('that someone else issued is logged with a hint for the issuer', () => {
    const { refuse, lines } = setScene({ origin: 'own', root: undefined })
    refuse('proxy', 'unknown ca')
    expect(hintsIn(lines)).toEqual([expect.stringMatching(/root of SIDECAR_TLS_CERT.*intermediate/)])
  })

  it('is logged for a hundred addresses, and then once for all further ones', () => {
    const { refuse, lines } = setScene()
    for (let count = 0; count < 500; count++)
      refuse('proxy', 'unknown ca', { address: `192.0.${count >> 8}.${count & 255}` })
    expect(lines).toHaveLength(101)
    expect(lines.at(-1)).toMatchObject({
      msg: 'further clients refused the certificate; they are not logged today',
    })
  })
})
