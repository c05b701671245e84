// The endpoints of an application.

import { useState } from 'preact/hooks'
import { get, p, type Endpoint, type Page } from './api'
import { Strip, useStrips } from './chart'
import { useMatters, useReader } from './context'
import { EndpointForm } from './endpoint-form'
import { number } from './format'
import { useLoad } from './load'
import { go, Link, usePlace } from './router'
import { EndpointState } from './state'
import { t } from './text'
import { Button, Content, Dialog, Empty, Mono, Pager, Table, Title } from './ui'

export function Endpoints() {
  const { app, base, may } = useReader()
  const iterator = usePlace().query.get('iterator') ?? ''
  const list = useLoad((signal) => get<Page<Endpoint>>(p`/app/${app}/endpoint`, { iterator, limit: 50 }, signal), [app, iterator], 10, useMatters())
  const [adding, add] = useState(false)
  const strips = useStrips(p`/stats/app/${app}/endpoint/attempt`, 'endpoint_id', list.data?.data.map((e) => e.id) ?? [])
  return (
    <>
      <Title actions={may('ManageEndpoint') && <Button kind="main" onClick={() => add(true)}>{t.addEndpoint}</Button>}>{t.endpoints}</Title>
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty><p>{t.noEndpoints}</p></Empty>
          : (
            <>
              <Table caption={t.endpoints} rows={page.data} id={(e) => e.id} columns={[
                { name: t.url, wide: true, show: (e) => <Link to={base + p`/endpoints/${e.id}`}><Mono>{e.url}</Mono>{e.description && <span dir="auto">{e.description}</span>}</Link> },
                { name: t.state, show: (e) => <EndpointState of={e} /> },
                { name: t.lastDay, show: (e) => <Strip of={strips.get(e.id)} /> },
                { name: t.eventTypes, show: (e) => e.eventTypes?.length ? e.eventTypes.join(', ') : t.all },
                { name: t.waiting, show: (e) => waiting(e) },
              ]} />
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
      {adding && (
        <Dialog title={t.addEndpoint} close={() => add(false)}>
          <EndpointForm close={() => add(false)} done={(e) => go(base + p`/endpoints/${e.id}`)} />
        </Dialog>
      )}
    </>
  )
}

// waiting is how many messages an endpoint has yet to get, for whatever reason.
export function waiting({ health }: Endpoint): string {
  return number(health.waiting + health.held + health.requested + health.behind) + (health.behindMore ? '+' : '')
}
