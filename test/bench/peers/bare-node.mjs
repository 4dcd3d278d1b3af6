// Runs a minimal TLS proxy on Node, only for comparison.
//
// Unsafe: it has no login, no log, no limits and no error handling.
//
//   node bare-node.mjs PORT REGISTRY_PORT LEAF KEY

import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'

const [port, registryPort, leaf, key] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true, scheduling: 'lifo' })
https
  .createServer({ cert: readFileSync(leaf), key: readFileSync(key) }, (incoming, outgoing) => {
    const { method, url: path, headers } = incoming
    const options = { host: '127.0.0.1', port: registryPort, method, path, headers, agent }
    const request = http.request(options, (response) => {
      outgoing.writeHead(response.statusCode, response.rawHeaders)
      response.pipe(outgoing)
    })
    incoming.pipe(request)
  })
  .listen(Number(port), '127.0.0.1')
