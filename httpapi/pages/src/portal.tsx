// The portal: a customer's own endpoints, messages and deliveries.

import { applicationPage } from './application-pages'
import type { Whoami } from './api'
import { ReaderContext, type Reader } from './context'
import { embed } from './embed'
import { usePlace } from './router'
import { Frame, start } from './shell'
import { t } from './text'
import { NotFound } from './ui'

function Portal({ who }: { who: Whoami }) {
  const place = usePlace().path
  const path = place === '/' ? '/endpoints' : place
  const reader: Reader = {
    app: who.applicationId!, base: '', operator: false,
    may: (capability) => who.capabilities.includes(capability),
  }
  const nav = [
    { to: '/endpoints', text: t.endpoints }, { to: '/messages', text: t.messages }, { to: '/deliveries', text: t.deliveries },
    { to: '/event-types', text: t.eventTypes }, { to: '/verify', text: t.verify },
  ]
  return (
    <ReaderContext.Provider value={reader}>
      <Frame name={t.webhooks} nav={nav} path={path}>{applicationPage(path) ?? <NotFound />}</Frame>
    </ReaderContext.Provider>
  )
}

embed()
start({
  door: '/portal', signIn: false,
  wrong: (who) => (who.role === 'application' ? undefined : t.notForPortal),
  page: (who) => <Portal who={who} />,
})
