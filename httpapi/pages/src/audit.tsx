// Who changed what.

import { get, p, type Audit, type AuditPage } from './api'
import { number } from './format'
import { useLoad } from './load'
import { Link, usePlace } from './router'
import { t } from './text'
import { Content, Empty, Mono, Pager, Table, Time, Title } from './ui'

export function Changes() {
  const iterator = usePlace().query.get('iterator') ?? ''
  const list = useLoad((signal) => get<AuditPage>('/audit', { limit: 50, iterator }, signal), [iterator], iterator === '' ? 10 : 0)
  return (
    <>
      <Title>{t.audit}</Title>
      {list.data?.removed && <p class="notice">{t.changesRemoved(list.data.removed.count, number(list.data.removed.count))} <Time at={list.data.removed.before} full />.</p>}
      <Content of={list}>
        {(page) => page.data.length === 0 && page.done
          ? <Empty><p>{t.noChanges}</p></Empty>
          : (
            <>
              <Table caption={t.audit} rows={page.data} id={(a) => a.id} columns={[
                { name: t.time, show: (a) => <Time at={a.timestamp} full /> },
                { name: t.change, show: (a) => <Mono>{a.change}</Mono> },
                { name: t.subject, wide: true, show: (a) => <Subject of={a} /> },
                { name: t.actor, show: ({ actor }) => <span dir="auto">{actor.name || t.actors[actor.type]}</span> },
              ]} />
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
    </>
  )
}

// Subject leads to what was changed, if it has a page.
function Subject({ of }: { of: Audit }) {
  if (of.appId && of.endpointId) return <Link to={p`/apps/${of.appId}/endpoints/${of.endpointId}`}><Mono>{of.endpointId}</Mono></Link>
  if (of.eventType) return <Link to={p`/event-types/${of.eventType}`}><Mono>{of.eventType}</Mono></Link>
  if (of.appId && !of.keyId) return <Link to={p`/apps/${of.appId}`}><Mono>{of.appId}</Mono></Link>
  return <Mono>{of.keyId ?? of.member ?? of.appId ?? '–'}</Mono>
}
