// Checks docker/kubernetes: keys and types, settings, security, references.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readRules } from '../../src/access/rules-file/read-rules.ts'
import { parseConfig } from '../../src/settings/config.ts'
import { findProgram } from '../fixtures/find-program.ts'
import {
  buildObjects,
  COMPONENTS,
  KUBERNETES,
  typeFaults,
  type Component,
  type KubernetesObject,
} from '../fixtures/kubernetes.ts'
import { makeTempFolder } from '../fixtures/temp-folder.ts'

const kustomize = findProgram('kustomize')

const CHOICES: readonly (readonly Component[])[] = [
  [],
  ...COMPONENTS.map((name) => [name]),
  ['s3', 'cert-manager', 'podmonitor', 'plain'],
]

interface EnvVar {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: { readonly secretKeyRef: { readonly name: string } }
}

interface Container {
  readonly name: string
  readonly env: readonly EnvVar[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly restartPolicy?: string
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
  readonly securityContext: unknown
  readonly startupProbe?: { readonly httpGet: { readonly path: string } }
}

interface Volume {
  readonly name: string
  readonly secret?: { readonly secretName: string; readonly defaultMode: number }
  readonly configMap?: { readonly name: string }
  readonly persistentVolumeClaim?: { readonly claimName: string }
}

interface PodSpec {
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes: readonly Volume[]
  readonly enableServiceLinks: boolean
  readonly automountServiceAccountToken: boolean
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: unknown
}

const builds = (kustomize === undefined ? [] : CHOICES).map((names) => ({
  names,
  objects: buildObjects({
    kustomize: kustomize ?? '',
    folder: path.join(makeTempFolder(), 'installation'),
    components: names,
  }),
}))

describe.skipIf(kustomize === undefined)('docker/kubernetes', () => {
  // All at once, because the compiler reads the types of Kubernetes each time.
  it('has only keys and values that Kubernetes knows', () => {
    expect(typeFaults(builds.flatMap(({ objects }) => objects))).toEqual([])
  })

  describe.each(builds)('with the components $names', ({ names, objects }) => {
    const pod = podOf(objects)
    const containers = [...(pod.initContainers ?? []), ...pod.containers]
    const sidecar = containerOf(containers, 'sidecar')

    it('has settings that the sidecar accepts', () => {
      const env = Object.fromEntries(sidecar.env.map(({ name, value }) => [name, value]))
      const config = parseConfig({ env })
      const ports = Object.fromEntries(
        (sidecar.ports ?? []).map(({ name, containerPort }) => [name, containerPort]),
      )
      expect(config.listen).toMatchObject({ port: ports['https'] })
      expect(config.adminListen).toMatchObject({ port: ports['admin'] })
      const mounts = sidecar.volumeMounts.map(({ mountPath }) => mountPath)
      const folders = [path.dirname(config.users), config.stateDir, config.rootDir].map(String)
      expect(mounts).toEqual(expect.arrayContaining([...folders, path.dirname(config.access ?? '')]))
    })

    it('runs the registry on 127.0.0.1 alone', () => {
      const config = String(dataOf(objects, 'registry-config')['config.yml'])
      expect(config).toMatch(/^ {2}addr: 127\.0\.0\.1:5000$/m)
      expect(containerOf(containers, 'registry').ports).toBeUndefined()
    })

    it('is restricted, as the namespace demands', () => {
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      })
      expect(pod).toMatchObject({ enableServiceLinks: false, automountServiceAccountToken: false })
      for (const { securityContext } of containers)
        expect(securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
    })

    it('starts a native sidecar without waiting for the registry', () => {
      const isPlain = names.includes('plain')
      expect(pod.initContainers?.map(({ name }) => name)).toEqual(isPlain ? undefined : ['sidecar'])
      expect(sidecar.restartPolicy).toBe(isPlain ? undefined : 'Always')
      expect(sidecar.startupProbe?.httpGet.path).toBe('/healthz')
    })

    it('mounts what exists, or what docs/kubernetes.md creates', () => {
      const docs = readFileSync(path.join(KUBERNETES, '..', '..', 'docs', 'kubernetes.md'), 'utf8')
      const secrets = [
        ...pod.volumes.flatMap(({ secret }) => (secret === undefined ? [] : [secret.secretName])),
        ...containers.flatMap(({ env }) =>
          env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef.name ?? []),
        ),
      ]
      const issued = names.includes('cert-manager') ? ['registry-tls'] : []
      for (const secret of secrets.filter((name) => !issued.includes(name)))
        expect(docs).toContain(`create secret generic ${secret} `)
      for (const { configMap, persistentVolumeClaim } of pod.volumes) {
        if (configMap !== undefined) expect(dataOf(objects, configMap.name)).toBeDefined()
        if (persistentVolumeClaim !== undefined)
          expect(objects.filter(({ kind }) => kind === 'PersistentVolumeClaim')).toHaveLength(1)
      }
      const volumes = pod.volumes.map(({ name }) => name)
      for (const { volumeMounts } of containers)
        for (const { name } of volumeMounts) expect(volumes).toContain(name)
    })

    it('lets only the namespace `monitoring` reach the admin port', () => {
      const policy = objects.find(({ kind }) => kind === 'NetworkPolicy')
      expect(policy?.['spec']).toMatchObject({
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ ports: [{ port: 'https' }] }, { ports: [{ port: 'admin' }], from: [{}] }],
      })
      const service = objects.find(({ kind }) => kind === 'Service')
      expect(service?.['spec']).toMatchObject({ ports: [{ targetPort: 'https' }] })
    })

    it('has access rules that the sidecar reads', async () => {
      const text = String(dataOf(objects, 'registry-access')['access.yaml'])
      expect((await readRules(Buffer.from(text))).rules).toHaveLength(1)
    })
  })
})

it('finds misspelled keys, wrong values and missing fields', () => {
  const meta = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pod' } }
  const container = { name: 'c', image: 'i' }
  const specs = [
    { containers: [container] },
    { containers: [{ ...container, securityContex: {} }] },
    { containers: [container], dnsPolicy: 'Cluster' },
    { containers: [{ image: 'i' }] },
  ]
  expect(typeFaults(specs.map((spec) => ({ ...meta, spec })))).toEqual([
    expect.stringContaining('securityContex'),
    expect.stringContaining('"Cluster"'),
    expect.stringContaining('"name"'),
  ])
})

function podOf(objects: readonly KubernetesObject[]): PodSpec {
  const deployment = objects.find(({ kind }) => kind === 'Deployment')
  const { template } = deployment?.['spec'] as { readonly template: { readonly spec: PodSpec } }
  return template.spec
}

function containerOf(containers: readonly Container[], name: string): Container {
  const found = containers.find((container) => container.name === name)
  if (found === undefined) throw new Error(`no container ${name}`)
  return found
}

/** The name may carry a hash. */
function dataOf(objects: readonly KubernetesObject[], name: string): Readonly<Record<string, unknown>> {
  const found = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith(name))
  return found?.['data'] as Readonly<Record<string, unknown>>
}
