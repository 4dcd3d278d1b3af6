// Parses the scope parameters of token requests.
//
// Grammar: distribution's "Token Scope Documentation". Clients differ: some repeat the parameter, some put several scopes
// with spaces into one, some name a class of the repository or a host with its port. A scope that we do not know is left
// out and never refused, because a refusal would end the client's push.

/** A repository that a client asks for, and the actions it wants there. `*` stands for every action. */
export interface AskedScope {
  readonly repository: string
  readonly actions: readonly string[]
}

// The most that known clients ask is three. Threat: each scope is checked against the rules, and a form has room for
// thousands.
const MAX_SCOPES = 50

// The class in parentheses, as in `repository(plugin)`, says nothing about rights. Names may contain colons
// (`host:5000/app`), so the first and the last colon separate the three parts.
const SCOPE = /^repository(?:\([a-z0-9]+\))?:(.{1,255}):([a-z*]+(?:,[a-z*]+)*)$/

/** The repositories in the values of all `scope` parameters. Ignores scopes of other types, and malformed ones. */
export function parseScopes(values: readonly string[]): readonly AskedScope[] {
  const texts = values.flatMap((value) => value.split(' ')).filter((text) => text !== '')
  return texts.slice(0, MAX_SCOPES).flatMap((text) => {
    const [, repository, actions = ''] = SCOPE.exec(text) ?? []
    return repository === undefined ? [] : [{ repository, actions: [...new Set(actions.split(','))] }]
  })
}

/** Formats scopes as one parameter. Leaves out a repository without actions. */
export function formatScopes(scopes: readonly AskedScope[]): string {
  return scopes
    .filter(({ actions }) => actions.length > 0)
    .map(({ repository, actions }) => `repository:${repository}:${actions.join(',')}`)
    .join(' ')
}
