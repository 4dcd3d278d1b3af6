// Starts nginx as a peer, with two configurations.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../../fixtures/find-program.ts'
import { runChild, startChild } from '../children.ts'
import { startOnFreePort } from '../port.ts'
import type { Environment } from '../environment.ts'
import type { Peer, Started } from '../subject.ts'

interface Variant {
  readonly name: string
  readonly about: string
  /** Directives that only this variant has, by level. */
  readonly main?: string
  readonly http: string
  readonly upstream: string
  readonly location: string
}

/** The recipe in distribution's documentation ("Use nginx as an authenticating proxy"). */
export const nginxRecipe = nginx({
  name: 'nginx',
  about: 'the public recipe: one worker, default buffers, request buffering on, access log on',
  http: 'access_log access.log;',
  upstream: '',
  location: '',
})

export const nginxTuned = nginx({
  name: 'nginx-tuned',
  about:
    'a worker per core, no access log, `proxy_request_buffering off`, `proxy_buffering off` with 1 MiB buffers, kept-alive upstream',
  main: 'worker_processes auto;',
  http: 'access_log off; tcp_nopush on;',
  upstream: 'keepalive 64;',
  location: `
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        client_body_buffer_size 1m;
        proxy_buffering off;
        proxy_buffer_size 1m;
        proxy_buffers 4 1m;`,
})

function nginx(variant: Variant): Peer {
  return {
    name: variant.name,
    about: variant.about,
    program: findProgram('nginx'),
    version: versionOf,
    start: (program, environment, registryPort) => start(program, environment, { variant, registryPort }),
  }
}

async function versionOf(program: string): Promise<string> {
  // nginx prints its version on stderr.
  const text = await runChild(['sh', '-c', '"$1" -v 2>&1', 'sh', program])
  return `nginx ${/nginx\/(\S+)/.exec(text)?.[1] ?? '?'}`
}

interface Choice {
  readonly variant: Variant
  readonly registryPort: number
}

function start(
  program: string,
  environment: Environment,
  { variant, registryPort }: Choice,
): Promise<Started> {
  const folder = path.join(environment.folder, variant.name)
  mkdirSync(folder)
  const logFile = path.join(folder, 'log')
  const config = path.join(folder, 'nginx.conf')
  return startOnFreePort((port) => {
    writeFileSync(config, configOf(environment, { variant, registryPort, port }))
    return startChild([program, '-p', folder, '-c', config, '-e', logFile], { logFile })
  }, logFile)
}

function configOf(
  environment: Environment,
  { variant, registryPort, port }: Choice & { port: number },
): string {
  const { leaf, key } = environment.identity
  // Workers of root would switch to a user that cannot read the folder of this run.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `${user} daemon off; pid nginx.pid; ${variant.main ?? ''}
events { worker_connections 1024; }
http {
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${what};`).join(' ')}
  ${variant.http}
  upstream registry { server 127.0.0.1:${registryPort}; ${variant.upstream} }
  map $upstream_http_docker_distribution_api_version $docker_distribution_api_version { '' 'registry/2.0'; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${leaf};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:SSL:10m;
    client_max_body_size 0;
    chunked_transfer_encoding on;
    location /v2/ {
        auth_basic "Registry realm";
        auth_basic_user_file ${environment.usersFile};
        add_header 'Docker-Distribution-Api-Version' $docker_distribution_api_version always;
        proxy_pass http://registry;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_read_timeout 900;${variant.location}
    }
  }
}
`
}
