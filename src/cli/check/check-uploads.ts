// Checks at which URL uploads continue, and whether every registry continues them.

import { LOGIN_DEMANDED } from '../../upstream/login-demand.ts'
import { askForLocation, type LocationQuestion } from '../../upstream/probe/upload-location.ts'
import type { UploadContinuation } from '../../upstream/probe/upload-continuation.ts'
import type { Finding } from './finding.ts'

const part = 'location'

/** Begins an upload in the registry and cancels it. */
export async function checkUploads(question: LocationQuestion): Promise<readonly Finding[]> {
  const finding = await askForLocation(question)
  switch (finding.kind) {
    case 'fitting':
      return [
        { level: 'ok', part, text: `uploads continue at ${finding.location}` },
        ...explainContinuation(finding.continuation),
      ]
    case 'misleading': {
      const hint =
        "remove `host` from the registry's `http` settings (REGISTRY_HTTP_HOST), or set it to the name that clients use"
      return [
        { level: 'problem', part, text: `the registry sends uploads to ${finding.location}`, hint },
        ...explainContinuation(finding.continuation),
      ]
    }
    case 'demands-login':
      return [{ level: 'problem', part, text: LOGIN_DEMANDED.reason, hint: LOGIN_DEMANDED.hint }]
    case 'read-only':
      return [{ level: 'note', part, text: `${UNCHECKED}: the registry is read-only` }]
    case 'unknown':
      return [{ level: 'note', part, text: `${UNCHECKED}: ${finding.reason}` }]
  }
}

const UNCHECKED = 'the upload location could not be checked'

function explainContinuation(continuation: UploadContinuation): readonly Finding[] {
  switch (continuation.kind) {
    case 'continues':
      return []
    case 'secrets-differ': {
      const text = 'several registries answer, and they have different secrets: pushes fail at random'
      const hint = 'set the same `http.secret` (REGISTRY_HTTP_SECRET) in each registry'
      return [{ level: 'problem', part: 'replicas', text, hint }]
    }
    case 'storage-differs': {
      const text =
        'several registries answer, and one does not know the upload of another: pushes fail at random'
      const hint = 'give all registries the same storage, for example the same folder or S3 bucket'
      return [{ level: 'problem', part: 'replicas', text, hint }]
    }
    case 'unknown': {
      const text = `replicas of the registry could not be compared: ${continuation.reason}`
      return [{ level: 'note', part: 'replicas', text }]
    }
  }
}
