// Turns a request's scope and the rules into a verdict.

import type { AccessRules, Question, Subject } from './access-rules.ts'
import type { Scope } from './scope.ts'

export type Authorization =
  /** `target` may lack parameters that the client may not use. */
  { readonly kind: 'allowed'; readonly target: string } | Denial

export interface Denial {
  readonly kind: 'denied'
  /** Undefined for a request that no rule can allow. */
  readonly missing: Question | undefined
  /** The message does not depend on whether the repository exists. */
  readonly message: string
}

export interface ScopedRequest {
  readonly scope: Scope
  readonly target: string
}

export function authorize(rules: AccessRules, subject: Subject, request: ScopedRequest): Authorization {
  const { scope, target } = request
  const allowed = (forwarded: string): Authorization => ({ kind: 'allowed', target: forwarded })
  const may = (question: Question): boolean => rules.decide(subject, question).kind === 'allowed'
  switch (scope.kind) {
    case 'login':
      return subject.kind === 'user'
        ? allowed(target)
        : { kind: 'denied', missing: undefined, message: 'log in first' }
    case 'catalog':
      return may({ action: 'catalog' }) ? allowed(target) : denial(subject, { action: 'catalog' })
    case 'unrecognized':
      return {
        kind: 'denied',
        missing: undefined,
        message: `no access rule allows this request: ${scope.reason}`,
      }
    case 'repository': {
      const { repository, anyOf, mount } = scope
      if (!anyOf.some((action) => may({ action, repository }))) {
        const [action = 'pull'] = anyOf
        return denial(subject, { action, repository })
      }
      // Refusing the mount would end a push of containerd. Without it the registry asks for an upload.
      if (mount !== undefined && !may({ action: 'pull', repository: mount.from }))
        return allowed(mount.targetWithout)
      return allowed(scope.target ?? target)
    }
  }
}

function denial(subject: Subject, missing: Question): Denial {
  return { kind: 'denied', missing, message: `${nameOf(subject)} may not ${inWords(missing)}` }
}

/** Returns the end of a sentence, as in "push to team/app". */
export function inWords({ action, repository = '' }: Question): string {
  return {
    pull: `pull ${repository}`,
    push: `push to ${repository}`,
    delete: `delete from ${repository}`,
    catalog: 'list the repositories (catalog)',
    status: 'see the status page (status)',
  }[action]
}

export function nameOf(subject: Subject): string {
  return subject.kind === 'anonymous' ? 'anonymous' : subject.username
}
