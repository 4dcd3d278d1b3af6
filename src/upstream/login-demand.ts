// Detects a registry that demands a login itself.

export const LOGIN_DEMANDED = {
  reason: 'the registry itself demands a login; switch off its auth',
  hint: 'the sidecar checks logins, so remove `auth` from the registry (REGISTRY_AUTH); if a proxy stands before the registry, switch off its login too',
} as const

/** 407 comes from a proxy before the registry. */
export function demandsLogin(status: number | undefined): boolean {
  return status === 401 || status === 407
}
