// Lists what rules can allow.

export const ACTIONS = ['pull', 'push', 'delete', 'catalog', 'status'] as const

export type Action = (typeof ACTIONS)[number]

export const REPOSITORY_ACTIONS = ['pull', 'push', 'delete'] as const satisfies readonly Action[]

export type RepositoryAction = (typeof REPOSITORY_ACTIONS)[number]

export function isRepositoryAction(action: Action): action is RepositoryAction {
  return REPOSITORY_ACTIONS.some((known) => known === action)
}
