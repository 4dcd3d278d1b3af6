// Settings about users, certificates and client certificates.

import {
  optional,
  orOff,
  parseAge,
  parseDuration,
  parseFailureRate,
  parseRealm,
  parseSwitch,
  parseText,
  parseWord,
  refused,
  type Parsed,
} from './setting-values.ts'
import { parseOrigins } from './origins.ts'
import { parseClientNameRule } from '../pki/client-name.ts'
import { parseHostName, type SubjectAltName } from '../pki/names.ts'
import type { Settings } from './setting.ts'

export const LOGINS = {
  users: {
    default: 'users/htpasswd',
    form: 'file',
    parse: parseText,
    meaning: 'The htpasswd file with bcrypt entries; changes take effect without a restart.',
  },
  access: {
    default: '',
    form: 'file',
    parse: optional(parseText),
    meaning: 'The YAML file with access rules; without it every user may do everything.',
    details: 'Changes take effect without a restart. [Access rules](access.md) explains the file.',
  },
  realm: {
    default: 'Registry',
    form: 'text',
    parse: parseRealm,
    meaning: 'The realm in the login challenge.',
  },
  challenge: {
    default: 'auto',
    form: 'mode',
    words: ['auto', 'basic', 'bearer'],
    parse: parseWord(['auto', 'basic', 'bearer']),
    meaning: 'How clients are asked to log in: auto, basic (password) or bearer (token).',
    details:
      '`auto` is `basic`, but where access rules name `anonymous`, `/v2/` asks for a token, which clients such as dockerd ' +
      'need to pull anonymously. Set another mode only for a client that fails. Browsers, and clients that must show a ' +
      'certificate, are always asked for a password. Passwords and tokens are accepted in every mode.',
  },
  authCache: {
    default: '10m',
    form: 'duration',
    parse: orOff(parseDuration),
    meaning: 'How long a verified login is remembered; off to verify every request.',
  },
  throttle: {
    default: '20/1m',
    form: 'rate',
    parse: orOff(parseFailureRate),
    meaning:
      'How many logins of one source may fail per duration before the source gets 429; off for no limit.',
    details:
      'A source is one IPv4 address or one IPv6 /64. If all clients share one address, 20 failed logins block the new ' +
      'logins of all clients for a minute. Behind a [load balancer](load-balancers.md), set `SIDECAR_TRUSTED_PROXIES`. ' +
      'Elsewhere set a higher limit or `off`.',
  },
  corsOrigins: {
    default: '',
    form: 'origins',
    parse: parseOrigins,
    meaning: 'The origins whose pages may call the registry from a browser, separated by commas.',
    details:
      'Write each origin as browsers send it: `https://ui.example`, or `http://localhost:8080` with a port that is not the ' +
      'default. A page of a listed origin can do everything that the login of its visitor allows: see ' +
      '[a registry UI in the browser](clients.md#a-registry-ui-in-the-browser).',
  },
} as const satisfies Settings

export const CERTIFICATES = {
  stateDir: {
    default: 'state',
    form: 'folder',
    parse: parseText,
    meaning: 'The folder with the root, the leaf and their keys.',
    details:
      'Keep the whole folder, because clients trust the root in it. After a root renewal it also holds `cross.crt`.',
  },
  rootDir: {
    default: '',
    form: 'folder',
    parse: optional(parseText),
    meaning:
      'The folder with the root and the token key that several sidecars share; the sidecar only reads it.',
    details:
      'It holds `root.crt`, `root.key` and `token.key`. Each sidecar keeps its leaf in its state folder. See ' +
      '[several sidecars, one root](certificates.md#several-sidecars-one-root).',
  },
  hosts: {
    default: '',
    form: 'names',
    parse: parseHosts,
    meaning: 'The names and addresses that clients use, separated by commas.',
    details:
      'Wildcards are allowed. The certificate always carries `localhost`, `127.0.0.1`, `::1`, the host name, and the ' +
      'addresses of this machine with their names in `/etc/hosts`. In Docker networks it also carries the names of the ' +
      'container and of its compose service. In Kubernetes the name of a Service also gets its longer forms ' +
      '(`registry.NS.svc.cluster.local`).',
  },
  tlsCert: {
    default: '',
    form: 'file',
    parse: optional(parseText),
    meaning: 'The certificate chain (PEM) to serve instead of an issued certificate; set its key too.',
    details: 'The leaf comes first, then its chain. Changes take effect without a restart.',
  },
  tlsKey: {
    default: '',
    form: 'file',
    parse: optional(parseText),
    meaning: 'The private key of that certificate (PEM).',
    details: 'RSA or EC, as PKCS#1, PKCS#8 or SEC1. Changes take effect without a restart.',
  },
  tlsKeyPasswordFile: {
    default: '',
    form: 'file',
    parse: optional(parseText),
    meaning: 'The file with the password of that key, on one line.',
    details: 'Changes take effect without a restart.',
  },
  caConstrain: {
    default: 'false',
    form: 'true|false',
    words: ['true', 'false'],
    parse: parseSwitch,
    meaning: 'true: a new root is valid only for the names that the sidecar serves when it issues the root.',
    details:
      'DNS names below these names are valid too. Set `SIDECAR_HOSTS` first. To serve other names later, issue a new ' +
      'root (`cert renew --root`) and make every client trust it. Then remove `cross.crt` and `leaf.crt`.',
  },
  hsts: {
    default: 'off',
    form: 'duration',
    parse: orOff(parseAge),
    meaning:
      'How long browsers must use only HTTPS for this host, for example 365d; off to send no such header.',
    details:
      'Every answer carries it as `Strict-Transport-Security`. Browsers apply it to the whole host name, on every port.',
  },
} as const satisfies Settings

export const CLIENT_CERTIFICATES = {
  tlsClientCa: {
    default: '',
    form: 'file',
    parse: optional(parseText),
    meaning: 'The CAs (PEM) that sign client certificates; if set, the sidecar asks clients for one.',
    details:
      'Changes take effect without a restart. With an intermediate CA, add its root too. Then the sidecar accepts only ' +
      'certificates that the intermediate signed, not those of its root or of other intermediates.',
  },
  tlsClientAuth: {
    default: 'require',
    form: 'mode',
    words: ['require', 'instead', 'optional'],
    parse: parseWord(['require', 'instead', 'optional']),
    meaning: 'require: client certificate and password; instead: certificate alone; optional: either.',
    details:
      'With `instead`, the name in the certificate is the user name. The users file must contain this name, and the ' +
      'client needs no password. With `optional`, clients with a valid certificate are treated as with `instead`. All ' +
      'other clients need a password.',
  },
  tlsClientName: {
    default: 'cn',
    form: 'field',
    words: ['cn', 'email', 'dns', 'uri'],
    parse: parseClientNameRule,
    meaning: 'The field of the client certificate that names the user: cn, email, dns or uri.',
    details:
      '`email`, `dns` and `uri` also take a pattern: `email:*@example.org`, `uri:spiffe://lab/user/*`. The `*` stands ' +
      'for the user name.',
  },
} as const satisfies Settings

function parseHosts(text: string): Parsed<readonly SubjectAltName[]> {
  const items = text.split(',').map((item) => item.trim())
  const results = items.filter((item) => item !== '').map((item) => parseHostName(item))
  const reasons = results.flatMap((result) => (result.ok ? [] : [result.reason]))
  if (reasons.length > 0) return refused(reasons.join('; '))
  return { ok: true, value: results.flatMap((result) => (result.ok ? [result.name] : [])) }
}
