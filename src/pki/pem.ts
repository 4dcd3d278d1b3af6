// Finds the certificates in a PEM text.

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

// Threat: one regular expression for BEGIN and END takes seconds on half a megabyte without END.
// A certificate without END is kept, so that callers refuse a half-written chain.
export function certificatesIn(text: string): readonly string[] {
  const [, ...parts] = text.split(BEGIN)
  return parts.map((part) => {
    const end = part.indexOf(END)
    return BEGIN + (end === -1 ? part : part.slice(0, end + END.length))
  })
}
