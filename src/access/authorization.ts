// Turns a request and the rights of its subject into a verdict.

import type { AccessRules, Question, Subject } from './access-rules.ts'
import { scopeOf, type Change } from './scope.ts'

export type Rights = 'everything' | ((question: Question) => boolean)

/** Without a rules file, everyone who logged in may do everything. */
export function rightsOf(rules: AccessRules | undefined, subject: Subject): Rights {
  if (rules !== undefined) return (question) => rules.decide(subject, question).kind === 'allowed'
  return subject.kind === 'user' ? 'everything' : () => false
}

export type Authorization =
  /** `target` may lack parameters that the client may not use. */
  { readonly kind: 'allowed'; readonly target: string; readonly change?: RepositoryChange } | Denial

export interface RepositoryChange {
  readonly repository: string
  readonly change: Change
}

export interface Denial {
  readonly kind: 'denied'
  /** Undefined for a request that no rule can allow. */
  readonly missing: Question | undefined
  /** The message does not depend on whether the repository exists. */
  readonly message: string
}

export interface AskedRequest {
  readonly subject: Subject
  readonly method: string
  readonly target: string
}

export function authorize(rights: Rights, { subject, method, target }: AskedRequest): Authorization {
  const allowed = (forwarded: string): Authorization => ({ kind: 'allowed', target: forwarded })
  if (rights === 'everything') return allowed(target)
  const may = rights
  const scope = scopeOf(method, target)
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
      const { change } = scope
      return {
        kind: 'allowed',
        target: scope.target ?? target,
        ...(change === undefined ? {} : { change: { repository, change } }),
      }
    }
  }
}

export function denial(subject: Subject, missing: Question): Denial {
  return { kind: 'denied', missing, message: `${nameOf(subject)} may not ${inWords(missing)}` }
}

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
