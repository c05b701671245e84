// The console: everything that an operator sees.

import type { ComponentChildren } from 'preact'
import { getTagged, p, type Application, type Whoami } from './api'
import { applicationPages } from './application-pages'
import { Applications } from './applications'
import { ReaderContext, useReader, type Reader } from './context'
import { useLoad } from './load'
import { Overview } from './overview'
import { Link, pageAt, usePlace, type Pages } from './router'
import { Frame, start } from './shell'
import { TaskPage, Tasks } from './tasks'
import { t } from './text'
import { Button, Content, NotFound } from './ui'

type Rest = typeof import('./console-rest')

// Later shows a page whose code is loaded when it is first opened.
function Later({ page }: { page: (from: Rest) => ComponentChildren }) {
  const rest = useLoad(() => import('./console-rest'), [])
  return <Content of={{ ...rest, reload: () => location.reload() }} whole>{page}</Content> // the server may have been upgraded meanwhile
}

const later = (page: (from: Rest, param: string) => ComponentChildren) => (param: string) => <Later page={(from) => page(from, param)} />

const changes = /^\/keys|^\/event-types\/.+\// // pages that are only for changing what they show

const pages: Pages = [
  ['/', () => <Overview />],
  ['/apps', () => <Applications />],
  ['/endpoints', later(({ AllEndpoints }) => <AllEndpoints />)],
  ['/live', later(({ Live }) => <Live />)],
  ['/event-types', later(({ EventTypes }) => <EventTypes />)],
  ['/event-types/:name', later(({ EventTypeOf }, name) => <EventTypeOf name={name} />)],
  ['/event-types/:name/edit', later(({ EditEventType }, name) => <EditEventType name={name} />)],
  ['/event-types/-/import', later(({ ImportPage }) => <ImportPage />)],
  ['/event-types/-/new', later(({ NewEventType }) => <NewEventType />)],
  ['/tasks', () => <Tasks />],
  ['/tasks/:id', (id) => <TaskPage id={id} />],
  ['/keys', later(({ Keys }) => <Keys />)],
  ['/look', later(({ LookPage }) => <LookPage />)],
  ['/audit', later(({ Changes }) => <Changes />)],
  ['/cluster/configuration', later(({ ConfigurationPage }) => <ConfigurationPage />)],
  ['/cluster', later(({ ClusterPage }) => <ClusterPage />)],
]

function Console({ who, signOut }: { who: Whoami; signOut: () => void }) {
  const { path } = usePlace()
  const admin = who.role === 'admin'
  const nav = [{ to: '/', text: t.overview }, { to: '/apps', text: t.applications }, { to: '/live', text: t.live }, { to: '/event-types', text: t.eventTypes }, { to: '/tasks', text: t.replays }]
  if (admin) nav.push({ to: '/keys', text: t.keys })
  nav.push({ to: '/audit', text: t.audit }, { to: '/cluster', text: t.cluster }, { to: '/look', text: t.look })
  const own = /^\/apps\/([^/]+)(\/.*)?$/.exec(path)
  const reader: Reader = { app: own ? decodeURIComponent(own[1]!) : '', base: own ? '/apps/' + own[1]! : '', operator: true, may: (c) => admin || c === 'ViewBase' }
  return (
    <ReaderContext.Provider value={reader}>
      <Frame nav={nav} end={<Button onClick={signOut}>{t.signOut}</Button>}>
        {own ? <OfApplication path={own[2] ?? '/endpoints'} /> : (admin || !changes.test(path)) && pageAt(pages, path) || <NotFound />}
      </Frame>
    </ReaderContext.Provider>
  )
}

// OfApplication is what the customer sees in the portal, with what only an operator may do.
function OfApplication({ path }: { path: string }) {
  const reader = useReader()
  const app = useLoad((signal) => getTagged<Application>(p`/app/${reader.app}`, signal), [reader.app])
  const tabs = [['/endpoints', t.endpoints], ['/messages', t.messages], ['/deliveries', t.deliveries], ['/tasks', t.replays]]
  const admin = reader.may('ManageEndpoint')
  if (admin) tabs.push(['/settings', t.settings])
  return (
    <Content of={app} whole>
      {(a) => (
        <>
          <p class="crumbs"><Link to="/apps">{t.applications}</Link> › <span dir="auto">{a.data.name}</span></p>
          <nav class="tabs" aria-label={t.application}>
            {tabs.map(([to = '', text]) => <Link key={to} to={reader.base + to} aria-current={path === to || path.startsWith(to + '/') ? 'page' : undefined}>{text}</Link>)}
          </nav>
          {path === '/settings' && admin ? <Later page={({ ApplicationSettings }) => <ApplicationSettings of={a} reload={app.reload} />} /> : pageAt(applicationPages, path) ?? <NotFound />}
        </>
      )}
    </Content>
  )
}

start({
  door: '/console', signIn: true,
  wrong: (who) => (who.role === 'admin' || who.role === 'reader' ? undefined : t.notForConsole),
  page: (who, signOut) => <Console who={who} signOut={signOut} />,
})
