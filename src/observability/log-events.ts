// Lists the events of the log, with level and meaning.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogEvent {
  readonly level: LogLevel
  readonly meaning: string
}

/** People write alerts on these names, so a name never changes its meaning. */
export const LOG_EVENTS = {
  ...topic('info', {
    ready: 'The sidecar listens on all addresses; the line names the addresses and the root.',
    'how-to-trust': 'The line names the command that makes clients trust the certificate.',
    'reload-requested': 'SIGHUP has arrived; all files are read again.',
    draining:
      'SIGTERM or SIGINT has arrived; new requests are refused, or served until the end of the drain delay.',
    drained: 'All transfers have finished after SIGTERM or SIGINT.',
  }),
  ...topic('warn', {
    'no-users-yet': 'The sidecar runs without users, so every login fails.',
    'stopping-now': 'A second SIGTERM or SIGINT ends the process at once.',
    'drain-deadline-passed': 'Transfers were cut because they took too long after SIGTERM or SIGINT.',
    'debug-switched': 'SIGUSR2 has switched debug lines on or off.',
    'connections-not-migrated':
      'With SIDECAR_REUSE_PORT: the kernel resets connections that are being opened when a sidecar ends.',
    'open-files-limit-too-low': 'The limit of open files does not allow SIDECAR_MAX_CONNECTIONS.',
  }),
  ...topic('warn', {
    'audit-written-again': 'The audit stream can be written again; the line has the number of dropped lines.',
  }),
  ...topic('error', {
    'audit-not-written': 'The audit stream cannot be written; lines wait in memory.',
    'audit-not-reopened': 'SIGUSR1 or SIGHUP could not open the audit file again.',
    'audit-lines-lost': 'Audit lines were not written before the end of the process.',
    'reload-failed': 'A reload failed for an unexpected reason; the last good values stay in use.',
    'close-failed': 'A part of the sidecar did not close at the end of the process.',
    'uncaught-error': 'An error that nothing caught; the sidecar drains, and the process ends with code 1.',
    'request-bug': 'A request failed because of a bug in the sidecar; the client got status 500.',
    'program-not-loaded': 'A part of the program could not be loaded; the client got status 503.',
    'status-not-sent': 'The live status stopped because of a bug in the sidecar; its viewers connect again.',
  }),
  ...topic('info', {
    request: 'A request has finished.',
    'more-requests': 'A source sent further requests without a verified user; the line has their count.',
    'more-requests-unlisted':
      'Sources that are not listed sent requests without a verified user; the line has their count.',
    'connection-ended-by-limit': 'A connection ended after SIDECAR_MAX_REQUESTS_PER_CONNECTION.',
  }),
  ...topic('debug', {
    'request-forwarded': 'A request of a verified user was sent to the registry.',
  }),
  ...topic('warn', {
    'login-refused': 'A login was refused; the line has the address and the reason.',
    'more-logins-refused': 'Further logins were refused; the line has their count.',
    'limit-reached': 'Connections or requests reached the limit in the field `limit`.',
    'proxy-header-refused':
      'Connections were closed, because their PROXY protocol header is absent, malformed or not trusted.',
    'name-not-covered': 'A client uses a name that the leaf does not cover.',
    'more-names-not-covered':
      'Clients use further names that the leaf does not cover; they are not logged on this day.',
    'certificate-refused': 'A client refused the certificate, probably because it does not trust the root.',
    'more-certificates-refused': 'Further clients refused the certificate; they are not logged on this day.',
  }),
  ...topic('error', {
    'file-descriptors-exhausted': 'No file descriptor is left; connections fail until others end.',
  }),
  ...topic('info', {
    'users-loaded': 'The users file was read and is in force; the line has the names that changed.',
    'access-rules-loaded': 'The access rules were read and are in force.',
    'client-cas-loaded': 'The client CAs were read and are in force.',
    'certificate-loaded': 'The operator’s certificate was read at start.',
    'file-usable-again': 'A file that could not be loaded is in force again.',
    frozen: 'A freeze has begun or changed; pushes wait until the time in the line.',
    thawed: 'A freeze has ended by `thaw` or because its time is over; waiting pushes go on.',
  }),
  ...topic('debug', {
    'user-added': 'A reload of the users file added a user.',
    'user-removed': 'A reload of the users file removed a user.',
    'user-changed': 'A reload of the users file changed the password of a user.',
    'machine-password-added': 'A reload of the users file added a machine password.',
    'machine-password-removed': 'A reload of the users file removed a machine password.',
  }),
  ...topic('warn', {
    'users-file-empty': 'The users file has no users, so every login fails.',
    'users-line-skipped': 'A line of the users file cannot be used.',
    'more-users-lines-skipped': 'Further lines of the users file cannot be used; they are not listed.',
    'machine-password-ends-soon': 'A machine password ends within a week.',
    'machine-password-ended': 'A machine password has ended.',
    'more-machine-passwords-end': 'Further machine passwords end soon or have ended; they are not listed.',
    'last-use-not-stored': 'The times when machine passwords were used cannot be stored.',
    'access-rule-surprising': 'A line of the access rules may not mean what its author expects.',
    'more-access-rules-surprising':
      'Further lines of the access rules may not mean what their author expects; they are not listed.',
    'client-ca-left-out': 'A certificate in the client CA file is not used.',
    'freeze-progress-not-written': 'The command `freeze` cannot find out when the running pushes have ended.',
    'file-is-bind-mounted': 'A file is a mount point, so replacing it on the host has no effect.',
    'file-readable-by-all': 'Every user of the machine can read a file with a secret.',
  }),
  ...topic('error', {
    'file-not-loaded': 'A file is unusable; its previous version stays in use.',
    'change-not-applied': 'A changed file is valid, but a part that uses it failed.',
    'watch-failed': 'Watching a file failed; the sidecar polls the file instead.',
  }),
  ...topic('info', {
    'leaf-renewed': 'The leaf was renewed; new connections get it.',
    'root-renewed': 'The root was renewed; clients must trust the new one.',
    'certificate-replaced': 'The operator’s certificate was replaced; new connections get it.',
    'certificate-usable-again': 'The operator’s certificate and key can be used again.',
  }),
  ...topic('warn', {
    'certificate-expires-soon':
      'A certificate expires soon; the line names the certificate and the days left.',
    'names-left-out': 'The root does not allow some names of this machine, so the leaf lacks them.',
    'root-not-constrained': 'SIDECAR_CA_CONSTRAIN does not change the present root.',
    'public-root-not-written': 'The copy of the root in the state folder was not written.',
    'key-mode-restricted': 'Other users could read a private key; the sidecar changed its mode to 0600.',
    'key-readable-by-others': 'Other users can read a private key; the sidecar cannot change its mode.',
    'status-key-not-stored': 'The key for the live status is not stored, so `top` shows no names.',
    'token-key-not-stored': 'The key that signs tokens is not stored, so a restart ends all tokens.',
  }),
  ...topic('error', {
    'leaf-not-renewed': 'The leaf was not renewed; the present one stays in use.',
    'certificate-not-replaced': 'The operator’s certificate is unusable; the previous one stays in use.',
    'certificate-not-yet-valid': 'Clients refuse a certificate because it is not valid yet.',
    'certificate-expired': 'Clients refuse a certificate because it has expired.',
  }),
} as const satisfies Readonly<Record<string, LogEvent>>

export type EventName = keyof typeof LOG_EVENTS

export type EventAt<L extends LogLevel> = {
  [N in EventName]: (typeof LOG_EVENTS)[N]['level'] extends L ? N : never
}[EventName]

type Topic<L extends LogLevel, N extends string> = Readonly<
  Record<N, { readonly level: L; readonly meaning: string }>
>

function topic<const L extends LogLevel, N extends string>(
  level: L,
  meanings: Readonly<Record<N, string>>,
): Topic<L, N> {
  const events = Object.entries<string>(meanings).map(([name, meaning]) => [name, { level, meaning }])
  return Object.fromEntries(events) as Topic<L, N>
}
