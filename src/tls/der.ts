// DER (X.690), as far as we take certificates apart ourselves: tags, lengths, and nothing that could be read in two ways.

/** One value: its identifier byte and what it holds. */
export interface DerValue {
  readonly tag: number
  readonly content: Buffer
}

/** What certificates are made of; context-specific tags are named where they mean something. */
export const DER = {
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
