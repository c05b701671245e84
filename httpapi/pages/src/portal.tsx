// The portal: a customer's own endpoints, messages and deliveries.

import { About } from './about'
import { applicationPage } from './application-pages'
import { get, type Settings, type Whoami } from './api'
import { ReaderContext, type Reader } from './context'
import { embed, embedded } from './embed'
import { usePlace } from './router'
import { Frame, start } from './shell'
import { t } from './text'
import { applyLook, type Look } from './theme'
import { NotFound } from './ui'
import { Verify } from './verify'

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
      <Frame nav={nav} path={path}>{path === '/verify' ? <Verify /> : path === '/about' ? <About /> : applicationPage(path) ?? <NotFound />}</Frame>
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
