// PEM: the certificates of a text that may hold comments, and even keys.

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

// Cut at each beginning, and not by one expression for both ends: that takes seconds for half a megabyte without an end.
// One that has no end is kept, so that it is refused: a chain half-written must not be served without its issuers.
/** Each certificate of the text, as it stands there. */
export function certificatesIn(text: string): readonly string[] {
  const [, ...parts] = text.split(BEGIN)
  return parts.map((part) => {
    const end = part.indexOf(END)
    return BEGIN + (end === -1 ? part : part.slice(0, end + END.length))
  })
}
