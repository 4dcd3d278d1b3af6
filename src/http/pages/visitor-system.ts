// Finds the operating system of a visitor.

import type { IncomingHttpHeaders } from 'node:http'

export type System = 'linux' | 'macos' | 'windows'

/** Returns `linux` for other systems, because most registry clients run on Linux. */
export function visitorSystem(headers: IncomingHttpHeaders): System {
  // Chromium sends the platform as a quoted string (User-Agent Client Hints).
  const platform = headers['sec-ch-ua-platform']
  const text = typeof platform === 'string' ? platform : (headers['user-agent'] ?? '')
  if (/windows/i.test(text)) return 'windows'
  return /mac ?os|macintosh/i.test(text) && !/iphone|ipad/i.test(text) ? 'macos' : 'linux'
}
