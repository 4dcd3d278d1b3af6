// Lists Host headers, from which the registry builds its Locations.

import { AGENT, head, HOST, LOGIN, passes, refused, type AdversaryCase } from './cases.ts'

const host = (...lines: string[]): string => head('GET /v2/ HTTP/1.1', ...lines, LOGIN, AGENT)

export const HOSTS: readonly AdversaryCase[] = [
  passes('host with a port', host('Host: proxy:443')),
  passes('host that is an IPv6 address', host('Host: [::1]:8443')),
  passes('host with the highest port', host('Host: proxy:65535')),
  refused('host missing', host()),
  refused('host empty', host('Host:')),
  refused('host of spaces', host('Host:   ')),
  refused('host twice', host(HOST, 'Host: evil')),
  refused('host twice, alike', host(HOST, HOST)),
  refused('host with a user', host('Host: localhost@evil')),
  refused('host with a user and a password', host('Host: a:b@evil')),
  refused('host with a path', host('Host: localhost/evil')),
  refused('host with a query', host('Host: localhost?evil')),
  refused('host with a fragment', host('Host: evil#localhost')),
  refused('host that is a list', host('Host: localhost, evil')),
  refused('host with a space', host('Host: localhost evil')),
  refused('host with a tab', host('Host: localhost\tevil')),
  refused('host with a backslash', host('Host: localhost\\evil')),
  refused('host with a percent', host('Host: local%68ost')),
  refused('host with a scheme', host('Host: https://localhost')),
  refused('host with quotes', host('Host: "localhost"')),
  refused('host outside ASCII', host('Host: b\xc3\xbccher.example')),
  refused('host with an empty port', host('Host: localhost:')),
  refused('host with a port that is no number', host('Host: localhost:https')),
  refused('host with a port out of range', host('Host: localhost:65536')),
  refused('host with a port of six digits', host('Host: localhost:443443')),
  refused('host with two ports', host('Host: localhost:1:2')),
  refused('host with a negative port', host('Host: localhost:-1')),
  refused('host with brackets that do not match', host('Host: [::1')),
  refused('host with a zone', host('Host: [fe80::1%25eth0]')),
  refused('host with brackets around a name', host('Host: [localhost]')),
  refused('host with angle brackets', host('Host: <script>')),
  refused('host longer than a name may be', host(`Host: ${'a'.repeat(300)}`)),
  refused('host of 1.0 missing', head('GET /v2/ HTTP/1.0', LOGIN, AGENT)),
  refused('host that the target gainsays', head('GET https://evil/v2/ HTTP/1.1', HOST, LOGIN, AGENT)),
]
