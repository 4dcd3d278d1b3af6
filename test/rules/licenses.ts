// Prints the packages that the product runs with, and the license of each: `npm run licenses`.

import { productionPackages } from '../fixtures/production-packages.ts'

const rows = productionPackages()
  .filter(({ folder }) => folder !== undefined)
  .map(({ name, version, license }) => `| ${name} | ${version} | ${license} |`)
process.stdout.write(['| Package | Version | License |', '|---|---|---|', ...rows, ''].join('\n'))
