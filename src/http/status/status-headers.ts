// Lists the headers of answers with the live status.

/** Threat: a page of another origin includes an answer as a script, or a cache keeps the answer. */
export const STATUS_HEADERS = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
} as const

export const JSON_HEADERS = { ...STATUS_HEADERS, 'Content-Type': 'application/json' } as const

export const EVENT_HEADERS = {
  ...STATUS_HEADERS,
  'Content-Type': 'text/event-stream; charset=utf-8',
  // nginx would collect events in a buffer.
  'X-Accel-Buffering': 'no',
} as const
