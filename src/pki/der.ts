// DER (X.690), as far as we take certificates apart ourselves: tags, lengths, and nothing that could be read in two ways.

/** One value: its identifier byte and what it holds. */
export interface DerValue {
  readonly tag: number
  readonly content: Buffer
}

/** What certificates are made of; context-specific tags are named where they mean something. */
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

/**
 * The values that follow each other in these bytes. Throws a RangeError for lengths that are indefinite, longer than they
 * need be or beyond the end, and for tags of more than one byte: two readers could disagree about those.
 */
export function readDer(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes.readUInt8(at)
    if ((tag & 0x1f) === 0x1f) throw new RangeError('a tag of more than one byte')
    const { start, length } = extentAt(bytes, at + 1)
    if (start + length > bytes.length) throw new RangeError('a value that goes beyond its end')
    values.push({ tag, content: bytes.subarray(start, start + length) })
    at = start + length
  }
  return values
}

/** The values inside this one; none inside what is missing. Throws as `readDer` does. */
export function within(value: DerValue | undefined): readonly DerValue[] {
  return value === undefined ? [] : readDer(value.content)
}

// The list of extensions in what is signed (RFC 5280 §4.1).
const EXTENSIONS = 0xa3

/** The value of a certificate's extension (RFC 5280 §4.2), or undefined when it carries none of that kind. Throws as `readDer` does. */
export function extensionValue(certificate: Buffer, oid: Buffer): DerValue | undefined {
  return extensionValues(certificate, oid)[0]
}

/** The values of all extensions of that kind, for those who take no certificate with two. Throws as `readDer` does. */
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

/** A value of this tag that holds these bytes. */
export function encodeDer(tag: number, parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content])
  const length = Buffer.alloc(3, 0x82)
  length.writeUInt16BE(content.length, 1)
  // The shortest form alone is DER.
  const shortest = content.length < 0x100 ? Buffer.from([0x81, content.length]) : length
  return Buffer.concat([Buffer.from([tag]), shortest, content])
}

// X.690 §8.1.3 and §10.1: one byte up to 127, otherwise as many as the first says, and no more than are needed.
function extentAt(bytes: Buffer, at: number): { readonly start: number; readonly length: number } {
  const short = bytes.readUInt8(at)
  if (short < 0x80) return { start: at + 1, length: short }
  const size = short & 0x7f
  if (size < 1 || size > 4) throw new RangeError('an indefinite or absurd length')
  const length = bytes.readUIntBE(at + 1, size)
  if (length < 0x80 || length < 2 ** (8 * (size - 1))) throw new RangeError('a length with bytes to spare')
  return { start: at + 1 + size, length }
}
