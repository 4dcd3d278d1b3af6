// Lists every setting, by topic and by name.

import { CERTIFICATES, CLIENT_CERTIFICATES, LOGINS } from './identity.ts'
import type { Setting, Settings } from './setting.ts'
import { ADDRESSES, LIMITS, LOGS_AND_FILES, TRANSFERS } from './traffic.ts'

export const SETTINGS = {
  ...ADDRESSES,
  ...LOGINS,
  ...CERTIFICATES,
  ...CLIENT_CERTIFICATES,
  ...TRANSFERS,
  ...LIMITS,
  ...LOGS_AND_FILES,
} as const

export type SettingName = keyof typeof SETTINGS

export interface Topic {
  readonly title: string
  readonly names: readonly SettingName[]
}

export const TOPICS: readonly Topic[] = [
  topic('Addresses', ADDRESSES),
  topic('Users and logins', LOGINS),
  topic('Certificates', CERTIFICATES),
  topic('Client certificates', CLIENT_CERTIFICATES),
  topic('Transfers and timeouts', TRANSFERS),
  topic('Limits', LIMITS),
  topic('Logs and files', LOGS_AND_FILES),
]

export function settingNames(): readonly SettingName[] {
  return Object.keys(SETTINGS) as SettingName[]
}

export function settingOf(name: SettingName): Setting {
  return SETTINGS[name]
}

function topic(title: string, settings: Settings): Topic {
  return { title, names: Object.keys(settings) as SettingName[] }
}
