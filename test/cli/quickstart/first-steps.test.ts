import { expect, it } from 'vitest'
import { firstSteps } from '../../../src/cli/quickstart/first-steps.ts'
import { parseConfig } from '../../../src/settings/config.ts'
import { sidecarForTest } from '../../fixtures/sidecar.ts'

const MACHINE = { platform: 'linux', hostname: 'box', isRoot: false, home: '/home/a', etc: '/etc' } as const

it('names commands for direct connections, unless only connections with a PROXY header are open', async () => {
  const sidecar = await sidecarForTest()
  const stepsWith = (env: Readonly<Record<string, string>>) =>
    firstSteps({ config: parseConfig({ env }), sidecar, machine: MACHINE })
  const local = `localhost:${sidecar.port}`
  const direct = stepsWith({})
  expect(direct).toContain(`docker login ${local} -u alice`)
  expect(direct).toContain(`docker push ${local}/hello-world`)

  const env = { SIDECAR_PROXY_PROTOCOL: 'on', SIDECAR_TRUSTED_PROXIES: '192.0.2.1' }
  const proxied = stepsWith(env)
  expect(proxied).not.toMatch(/docker (?:login|push|tag)/)
  expect(proxied).toContain('under the name of the load balancer')
  expect(proxied).toContain(`closes connections that clients open to ${local} directly`)
  expect(proxied).toContain(sidecar.root.fingerprint)
})
