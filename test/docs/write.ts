// Writes the generated documentation: `npm run docs`.

import { writeFileSync } from 'node:fs'
import { LOG_EVENTS_PAGE, logEventsPage } from './log-events-page.ts'
import { SETTINGS_PAGE, settingsPage } from './settings-page.ts'

writeFileSync(SETTINGS_PAGE, settingsPage())
writeFileSync(LOG_EVENTS_PAGE, logEventsPage())
