import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { checkConnectionMigration } from '../../src/app/connection-migration.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

it.each<[what: string, text: string | undefined, warnings: number]>([
  ['is on', '1\n', 0],
  ['is off', '0\n', 1],
  ['does not exist', undefined, 1],
])('warns unless the switch of the kernel is on: it %s', async (_what, text, warnings) => {
  const file = path.join(tempFolder(), 'tcp_migrate_req')
  if (text !== undefined) writeFileSync(file, text)
  const { log, lines } = recordedLog()
  await checkConnectionMigration(log, file)
  expect(lines.filter(({ event }) => event === 'connections-not-migrated')).toHaveLength(warnings)
  for (const { hint } of lines) expect(hint).toContain('net.ipv4.tcp_migrate_req=1')
})
