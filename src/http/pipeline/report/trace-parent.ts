// Reads the trace id that a client sends.

/** W3C Trace Context, version 00. Threat: a client writes text of its choice into the log. */
export function traceParentOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && header.length === LENGTH && FORM.test(header) ? header : undefined
}

const LENGTH = 55

// Ids of zeros are invalid (§2.2.2.3).
const FORM = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/
