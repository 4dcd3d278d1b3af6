import { expect, it } from 'vitest'
import { parseHost } from '../../src/http/host-header.ts'

it.each([
  ['registry.example', { name: 'registry.example', port: undefined }],
  ['Registry.example:5000', { name: 'Registry.example', port: 5000 }],
  ['192.0.2.1:0', { name: '192.0.2.1', port: 0 }],
  ['[2001:db8::1]:443', { name: '2001:db8::1', port: 443 }],
  ['[::1]', { name: '::1', port: undefined }],
])('reads %s', (header, expected) => {
  expect(parseHost(header)).toEqual(expected)
})

it.each([
  undefined,
  '',
  'a b',
  'a,b',
  'user@a',
  'a/b',
  'a:',
  'a:123456',
  'a:5000:1',
  '::1',
  '[::1',
  '[a.example]x',
  'a'.repeat(256),
  'ä.example',
  'a\n',
])('rejects %j', (header) => {
  expect(parseHost(header)).toBeUndefined()
})
