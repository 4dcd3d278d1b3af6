// Writes shell commands for people to paste.

import type { ClientMachine } from './client-setup.ts'

/** The file name of the root on a machine that fetched it. */
export const FETCHED_FILE = 'registry-ca.crt'

/** Fetches the root from the sidecar and prints its fingerprint, so that a person can detect a forged one. */
export function fetchCommands(key: string): readonly string[] {
  return [
    `curl -fsSk -o ${FETCHED_FILE} ${quoted(`https://${key}/-/ca.crt`)}`,
    `openssl x509 -noout -fingerprint -sha256 -in ${FETCHED_FILE}`,
  ]
}

/** In PowerShell, `curl` is another command, and openssl is missing. */
export function fetchCommandsForWindows(key: string): readonly string[] {
  return [
    `curl.exe -fsSk -o ${FETCHED_FILE} "https://${key}/-/ca.crt"`,
    `[BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash((Get-PfxCertificate .\\${FETCHED_FILE}).RawData))`,
  ]
}

/** The prefix for commands that need root. Empty if root runs them, because sudo may not be installed there. */
export function sudo({ isRoot }: Pick<ClientMachine, 'isRoot'>): string {
  return isRoot ? '' : 'sudo '
}

/** The caller quotes the destination. */
export function copyFile(file: string, destination: string): string {
  return `install -D -m 644 ${quoted(file)} ${destination}`
}

export function hereDocument(command: string, lines: readonly string[]): string {
  return [`${command} >/dev/null <<'EOF'`, ...lines, 'EOF'].join('\n')
}

/** Quotes for a POSIX shell, where blanks in paths and brackets around IPv6 addresses have a meaning. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
