// Lists the programs that the benchmark compares.

import { bareNodeOn } from './peers/bare-node.ts'
import { caddy } from './peers/caddy.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginxRecipe, nginxTuned } from './peers/nginx.ts'
import { registryItself } from './peers/registry.ts'
import { sidecarOn } from './peers/sidecar.ts'
import type { Peer } from './subject.ts'

/** Returns one sidecar per Node binary, then the other peers. The first sidecar is the base of the ratios. */
export function peersFor(nodes: readonly string[]): readonly Peer[] {
  const sidecars = nodes.map((node, i) => sidecarOn(i === 0 ? 'sidecar' : `sidecar-${i + 1}`, node))
  return [
    ...sidecars,
    nginxRecipe,
    nginxTuned,
    caddy,
    haproxy,
    registryItself,
    bareNodeOn(nodes[0] ?? process.execPath),
  ]
}
