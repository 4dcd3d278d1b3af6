// Parses the scope parameters of token requests.
// Grammar: distribution's "Token Scope Documentation". Unknown scopes are ignored, because a refusal would end a push.

/** `*` stands for every action. */
export interface AskedScope {
  readonly repository: string
  readonly actions: readonly string[]
}

// Known clients ask for at most three. Threat: a form has room for thousands, and each is checked against the rules.
const MAX_SCOPES = 50

// The class, as in `repository(plugin)`, says nothing about rights. Names may contain colons (`host:5000/app`).
const SCOPE = /^repository(?:\([a-z0-9]+\))?:(.{1,255}):([a-z*]+(?:,[a-z*]+)*)$/

/** Ignores malformed scopes and scopes of other types. */
export function parseScopes(values: readonly string[]): readonly AskedScope[] {
  const texts = values.flatMap((value) => value.split(' ')).filter((text) => text !== '')
  return texts.slice(0, MAX_SCOPES).flatMap((text) => {
    const [, repository, actions = ''] = SCOPE.exec(text) ?? []
    return repository === undefined ? [] : [{ repository, actions: [...new Set(actions.split(','))] }]
  })
}

/** Leaves out a repository without actions. */
export function formatScopes(scopes: readonly AskedScope[]): string {
  return scopes
    .filter(({ actions }) => actions.length > 0)
    .map(({ repository, actions }) => `repository:${repository}:${actions.join(',')}`)
    .join(' ')
}
