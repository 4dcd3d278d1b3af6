// Shell commands, as text for a person to paste.

import type { ClientMachine } from './client-setup.ts'

/** Under which name the root is kept on a machine that fetched it. */
export const FETCHED_FILE = 'registry-ca.crt'

/** How the root gets from the sidecar to another machine, and how to see that nobody exchanged it on the way. */
export function fetchCommands(key: string): readonly string[] {
  return [
    `curl -fsSk -o ${FETCHED_FILE} ${quoted(`https://${key}/-/ca.crt`)}`,
    `openssl x509 -noout -fingerprint -sha256 -in ${FETCHED_FILE}`,
  ]
}

/** The same for PowerShell, which says `curl` to something else and has no openssl. */
export function fetchCommandsForWindows(key: string): readonly string[] {
  return [
    `curl.exe -fsSk -o ${FETCHED_FILE} "https://${key}/-/ca.crt"`,
    `[BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash((Get-PfxCertificate .\\${FETCHED_FILE}).RawData))`,
  ]
}

/** The prefix of what only root may do. Root needs none, and a machine where root works often has none. */
export function sudo({ isRoot }: Pick<ClientMachine, 'isRoot'>): string {
  return isRoot ? '' : 'sudo '
}

/** Copies a file that everyone may read, and makes the folders on the way. The destination is quoted already. */
export function copyFile(file: string, destination: string): string {
  return `install -D -m 644 ${quoted(file)} ${destination}`
}

/** Writes these lines to wherever `command` sends its input. */
export function hereDocument(command: string, lines: readonly string[]): string {
  return [`${command} >/dev/null <<'EOF'`, ...lines, 'EOF'].join('\n')
}

/** For a POSIX shell: an IPv6 address stands in brackets, which are a pattern there, and paths may hold blanks. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
