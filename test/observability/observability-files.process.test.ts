// Checks docker/observability against Prometheus' own tool and the metrics of a running sidecar.

import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { stringify } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../fixtures/find-program.ts'
import {
  FOLDER,
  readAlertCases,
  readAlerts,
  readPanels,
  readQueries,
  selectorsIn,
  type Selector,
} from '../fixtures/observability-files.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder, tempFolder } from '../fixtures/temp-folder.ts'

const promtool = findProgram('promtool')
const compose = findProgram('docker-compose')

interface RunOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Resolves to the exit code and all output. */
function run(
  program: string | undefined,
  args: readonly string[],
  { input = '', env = {} }: RunOptions = {},
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    const options = { cwd: FOLDER, env: { PATH: process.env['PATH'], ...env } }
    const child = execFile(program ?? '', args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr })
    })
    child.stdin?.end(input)
  })
}

describe('the metrics that alerts and dashboard use', () => {
  const alerts = readAlerts()
  const folder = makeTempFolder()
  let sidecar: TestSidecar
  let metrics = ''

  beforeAll(async () => {
    const clientCa = path.join(folder, 'client-ca.crt')
    writeFileSync(clientCa, createAuthority().rootPem)
    const env = { SIDECAR_TLS_CLIENT_CA: clientCa, SIDECAR_TLS_CLIENT_AUTH: 'optional' }
    sidecar = await startSidecar({ env })
    await sidecar.request({ path: '/v2/' })
    metrics = (await askAdmin(sidecar, '/metrics')).text
  })
  afterAll(async () => {
    await sidecar.stop()
    removeFolder(folder)
  })

  it.skipIf(promtool === undefined)('have names and types that Prometheus accepts', async () => {
    expect(await run(promtool, ['check', 'metrics'], { input: metrics })).toEqual({ code: 0, output: '' })
  })

  it('exist, with the labels and values that are asked for', () => {
    const queries = [...readQueries(), ...alerts.map(({ expr }) => expr)]
    const selectors = queries.flatMap(selectorsIn)
    expect(queries.flatMap((query) => (selectorsIn(query).length === 0 ? [query] : []))).toEqual([])
    expect(selectors.filter((selector) => !isIn(metrics, selector))).toEqual([])
  })

  it('are all in the table of docs/operations.md, and no others', () => {
    const page = readFileSync(path.join(FOLDER, '..', '..', 'docs', 'operations.md'), 'utf8')
    const table = /^## Metrics\n(.*?)^### /ms.exec(page)?.[1] ?? ''
    const documented = table
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name))
    const exported = [...metrics.matchAll(/^# TYPE registry_sidecar_(\w+) /gm)].map(([, name]) => name)
    // It remains for old queries.
    const current = exported.filter((name) => name !== 'certificate_not_after_seconds')
    expect(documented.toSorted()).toEqual(current.toSorted())
  })
})

function isIn(metrics: string, { name, labels }: Selector): boolean {
  // Prometheus itself makes it.
  if (name === 'up') return true
  const lines = metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  const isDeclared = metrics.includes(`# TYPE ${name.replace(/_(?:bucket|sum|count)$/, '')} histogram`)
  const matchers = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return (lines.length > 0 || isDeclared) && (matchers.length === 0 || lines.some(hasAll(matchers)))
}

function hasAll(parts: readonly string[]): (line: string) => boolean {
  return (line) => parts.every((part) => line.includes(part))
}

describe.skipIf(promtool === undefined)('promtool', () => {
  it('accepts the scrape configuration and the alerts', async () => {
    expect(await run(promtool, ['check', 'config', 'prometheus.yml'])).toMatchObject({ code: 0 })
    expect(await run(promtool, ['check', 'rules', 'alerts.yml'])).toMatchObject({ code: 0 })
  })

  it('understands each query of the dashboard', async () => {
    const file = path.join(tempFolder(), 'queries.yml')
    const rules = readQueries().map((expr, index) => ({ record: `query:${index}`, expr }))
    writeFileSync(file, stringify({ groups: [{ name: 'dashboard', rules }] }))
    const { code, output } = await run(promtool, ['check', 'rules', file])
    expect(code, output).toBe(0)
    expect(rules.length).toBeGreaterThan(25)
  })
})

describe('each alert', () => {
  const cases = readAlertCases()
  const runbook = readFileSync(path.join(FOLDER, '..', '..', 'docs', 'observability.md'), 'utf8')
  const anchors = new Set(
    [...runbook.matchAll(/^### (.*)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-')),
  )

  it.each(readAlerts().map((alert) => [alert.alert, alert] as const))('%s', (name, { annotations }) => {
    expect(Object.keys(annotations)).toEqual(['summary', 'description', 'runbook'])
    const [page, anchor] = annotations['runbook']?.split('#') ?? []
    expect([page, anchors.has(anchor ?? '')]).toEqual(['docs/observability.md', true])
    expect(runbook, 'the runbook names the alert').toContain(`\`${name}\``)
    const fires = cases.some(({ alertname, exp_alerts: alerts }) => alertname === name && alerts.length > 0)
    expect(fires, 'a unit test in which it fires').toBe(true)
  })
})

describe('the dashboard', () => {
  it('has panels that do not overlap and fit in 24 columns', () => {
    const panels = readPanels()
    const overlapping = panels.flatMap((one, index) =>
      panels.slice(index + 1).flatMap((other) => {
        const [a, b] = [one.gridPos, other.gridPos]
        const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
        return isApart ? [] : [`${one.title} and ${other.title}`]
      }),
    )
    expect(overlapping).toEqual([])
    expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([])
  })

  it('begins with pushes and pulls that succeed, then latency, then causes', () => {
    const rows = readPanels().filter(({ type }) => type === 'row')
    expect(rows.toSorted((a, b) => a.gridPos.y - b.gridPos.y).map(({ title }) => title)).toEqual([
      'Pushes and pulls',
      'Latency',
      'Causes: requests and registry',
      'Causes: logins and files',
      'Causes: process',
    ])
  })
})

describe.skipIf(compose === undefined)('the compose file with Prometheus and Grafana', () => {
  const FILES = ['-f', '../compose.yaml', '-f', 'compose.yaml', 'config']

  it('joins the one of the sidecar, and publishes nothing to other machines', async () => {
    const { code, output } = await run(compose, FILES, { env: { GRAFANA_PASSWORD: 'secret-of-the-test' } })
    expect(code, output).toBe(0)
    for (const port of ['9090:9090', '3000:3000']) {
      expect(output).toContain(`- 127.0.0.1:${port}/tcp`)
    }
    expect(output).not.toContain('8444:')
    const sidecar = output.slice(output.search(/^ {2}sidecar:$/m))
    expect(sidecar).toMatch(/networks:\n {6}clients: .*\n {6}default: .*\n {6}observability: /)
  })

  it('demands a password for Grafana', async () => {
    const { code, output } = await run(compose, FILES)
    expect([code, output]).toEqual([1, expect.stringContaining('set GRAFANA_PASSWORD in .env')])
  })
})
