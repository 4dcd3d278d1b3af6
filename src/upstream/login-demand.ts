// Detects a registry that demands a login itself.

export const LOGIN_DEMANDED = {
  reason: 'the registry demands a login itself: switch its auth off',
  hint: 'take `auth` out of its settings (REGISTRY_AUTH), or the login out of the proxy before it: the sidecar asks',
} as const

/** 407 comes from a proxy before the registry. */
export function demandsLogin(status: number | undefined): boolean {
  return status === 401 || status === 407
}
