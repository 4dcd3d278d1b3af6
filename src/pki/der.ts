// Reads and writes the DER (X.690) parts that certificates need.

export interface DerValue {
  readonly tag: number
  readonly content: Buffer
}

export const DER = {
  integer: 0x02,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  sequence: 0x30,
  set: 0x31,
} as const

/** Throws a RangeError for encodings that two readers could read differently, for example overlong lengths. */
export function readDer(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = []
  for (let offset = 0; offset < bytes.length;) {
    const tag = bytes.readUInt8(offset)
    if ((tag & 0x1f) === 0x1f) throw new RangeError('a tag of more than one byte')
    const { start, length } = extentAt(bytes, offset + 1)
    if (start + length > bytes.length) throw new RangeError('a value that ends after its container')
    values.push({ tag, content: bytes.subarray(start, start + length) })
    offset = start + length
  }
  return values
}

/** Throws as `readDer` does. */
export function within(value: DerValue | undefined): readonly DerValue[] {
  return value === undefined ? [] : readDer(value.content)
}

// The tag of the list of extensions (RFC 5280 §4.1).
const EXTENSIONS = 0xa3

/** The value of the first extension with this OID (RFC 5280 §4.2). Throws as `readDer` does. */
export function extensionValue(certificate: Buffer, oid: Buffer): DerValue | undefined {
  return extensionValues(certificate, oid)[0]
}

/** All values, for callers that reject duplicates. Throws as `readDer` does. */
export function extensionValues(certificate: Buffer, oid: Buffer): readonly (DerValue | undefined)[] {
  const [toBeSigned] = within(readDer(certificate)[0])
  const list = within(toBeSigned).find(({ tag }) => tag === EXTENSIONS)
  return within(within(list)[0])
    .map((extension) => within(extension))
    .filter(([kind]) => isOid(kind, oid))
    .map((extension) => within(extension.find(({ tag }) => tag === DER.octetString))[0])
}

function isOid(value: DerValue | undefined, oid: Buffer): boolean {
  return value?.tag === DER.oid && value.content.equals(oid)
}

/** The parts may have at most 65,535 bytes together. */
export function encodeDer(tag: number, parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content])
  const length = Buffer.alloc(3, 0x82)
  length.writeUInt16BE(content.length, 1)
  // DER allows only the shortest form.
  const shortest = content.length < 0x100 ? Buffer.from([0x81, content.length]) : length
  return Buffer.concat([Buffer.from([tag]), shortest, content])
}

// X.690 §8.1.3 and §10.1: one byte for lengths up to 127. Others begin with the number of bytes that follow.
function extentAt(bytes: Buffer, offset: number): { readonly start: number; readonly length: number } {
  const short = bytes.readUInt8(offset)
  if (short < 0x80) return { start: offset + 1, length: short }
  const size = short & 0x7f
  if (size < 1 || size > 4) throw new RangeError('an indefinite or too long length')
  const length = bytes.readUIntBE(offset + 1, size)
  if (length < 0x80 || length < 2 ** (8 * (size - 1)))
    throw new RangeError('a length with more bytes than needed')
  return { start: offset + 1 + size, length }
}
