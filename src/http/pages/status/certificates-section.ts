// Renders the certificates with their days left.

import type { CertificateStatus, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { renderDate } from '../quantities.ts'
import { renderLevel } from './level.ts'

const TITLES: Readonly<Record<CertificateStatus['kind'], string>> = {
  leaf: 'Certificate of the registry',
  root: 'Root certificate',
  'client-ca': 'CA of client certificates',
}

export function certificatesSection({ certificates }: StatusSnapshot): Html {
  return renderTable({
    caption: 'Certificates',
    columns: [
      { title: 'Certificate', cell: ({ kind }) => TITLES[kind] },
      { title: 'Valid until', cell: ({ notAfter }) => renderDate(notAfter) },
      { title: 'Time left', cell: renderDaysLeft },
    ],
    rows: certificates,
    empty: 'There is no certificate.',
  })
}

// The log warns at this time too.
const SOON_DAYS = 7

function renderDaysLeft({ daysLeft }: CertificateStatus): Html {
  if (daysLeft < 0) return renderLevel('bad', 'expired')
  return renderLevel(daysLeft <= SOON_DAYS ? 'warn' : 'good', daysLeft === 1 ? '1 day' : `${daysLeft} days`)
}
