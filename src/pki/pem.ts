// Finds the certificates in a PEM text.

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

// Threat: one regular expression for begin and end takes seconds on half a megabyte without an end.
// A certificate without an end is kept, because a half-written chain must be refused as a whole.
export function certificatesIn(text: string): readonly string[] {
  const [, ...parts] = text.split(BEGIN)
  return parts.map((part) => {
    const end = part.indexOf(END)
    return BEGIN + (end === -1 ? part : part.slice(0, end + END.length))
  })
}
