// Removes from npm's SBOM what differs in each run: `npm sbom … | node docker/sbom.mjs`.

import { readFileSync } from 'node:fs'

const { serialNumber: _random, ...sbom } = JSON.parse(readFileSync(0, 'utf8'))
const epoch = Number(process.env.SOURCE_DATE_EPOCH ?? 0)
const metadata = {
  ...sbom.metadata,
  timestamp: new Date(epoch * 1000).toISOString(),
  // npm takes the name of the folder.
  component: { ...sbom.metadata.component, name: 'registry-sidecar' },
}
process.stdout.write(`${JSON.stringify({ ...sbom, metadata }, null, 2)}\n`)
