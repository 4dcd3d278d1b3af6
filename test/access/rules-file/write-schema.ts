// Writes the JSON Schema of rules files into docs: `npm run schema`.

import { writeFileSync } from 'node:fs'
import { rulesJsonSchema } from '../../../src/access/rules-file/rules-schema.ts'

const file = new URL('../../../docs/access-rules.schema.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(rulesJsonSchema(), undefined, 2)}\n`)
