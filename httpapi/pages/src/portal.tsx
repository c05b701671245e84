// The portal: a customer's own endpoints, messages and deliveries.

import { About } from './about'
import { applicationPages } from './application-pages'
import { get, type Settings, type Whoami } from './api'
import { Catalogue, EventTypePage } from './catalogue'
import { ReaderContext, type Reader } from './context'
import { embed, embedded } from './embed'
import { pageAt, usePlace, type Pages } from './router'
import { Frame, start } from './shell'
import { t } from './text'
import { applyLook, type Look } from './theme'
import { NotFound } from './ui'
import { Verify } from './verify'

const pages: Pages = [
  ...applicationPages,
  ['/event-types', () => <Catalogue />],
  ['/event-types/:name', (name) => <EventTypePage name={name} />],
  ['/verify', () => <Verify />],
  ['/about', () => <About />],
]

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
    { to: '/about', text: t.about },
  ]
  return (
    <ReaderContext.Provider value={reader}>
      <Frame nav={nav} path={path}>{pageAt(pages, path) ?? <NotFound />}</Frame>
    </ReaderContext.Provider>
  )
}

const plain: Look = { displayName: null, customLogoUrl: null, customLogoUrlDark: null, customFontFamily: null, colorPaletteLight: {}, colorPaletteDark: {} }

embed()
applyLook(embedded(plain))
start({
  door: '/portal', signIn: false,
  prepare: async (signal) => applyLook(embedded(await get<Settings>('/environment/settings', {}, signal).catch(() => plain))),
  wrong: (who) => (who.role === 'application' ? undefined : t.notForPortal),
  page: (who) => <Portal who={who} />,
})
