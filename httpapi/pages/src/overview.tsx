// What needs attention, first.

import { useState } from 'preact/hooks'
import { get, p, type ByHealth, type Cluster, type Health } from './api'
import { Activity } from './chart'
import { FirstRun } from './first-run'
import { bytes, number } from './format'
import { useLoad } from './load'
import { Link } from './router'
import { EndpointState } from './state'
import { t } from './text'
import { Ago, Badge, Card, Content, Fact, Facts, Mono, Table, Title, type Column } from './ui'
import { waiting } from './endpoints'

export function Overview() {
  const [turn, setTurn] = useState(0)
  return (
    <>
      <Title>{t.overview}</Title>
      <FirstRun alive={() => setTurn(1)} />
      <Attention key={turn} />
      <Nodes />
      <Activity key={'activity' + turn} path="/stats/attempt" />
    </>
  )
}

function Attention() {
  const list = useLoad((signal) => get<ByHealth>('/endpoint', { health: 'parked,failing,disabled,blocked', limit: 20 }, signal), [], 10)
  return (
    <Card title={t.attention} actions={<Link to="/endpoints">{t.showAllEndpoints}</Link>}>
      <Content of={list}>
        {({ data, counts }) => (
          <>
            <Facts>
              {(['healthy', 'failing', 'parked', 'paused', 'disabled'] as const).map((state) => <Fact key={state} name={t.health[state]}>{number(counts[state])}</Fact>)}
              <Fact name={t.blocked}>{number(counts.blocked)}</Fact>
            </Facts>
            {data.length === 0 ? <p>{t.noAttention}</p> : (
              <Table caption={t.attention} rows={data} id={(e) => e.id} columns={columns} />
            )}
          </>
        )}
      </Content>
    </Card>
  )
}

export const columns: Column<ByHealth['data'][number]>[] = [
  { name: t.application, show: (e) => <Link to={p`/apps/${e.appId}`}><span dir="auto">{e.appName}</span></Link> },
  { name: t.endpoint, wide: true, show: (e) => <Link to={p`/apps/${e.appId}/endpoints/${e.id}`}><Mono>{e.url}</Mono></Link> },
  { name: t.state, show: (e) => <EndpointState of={e} /> },
  { name: t.waiting, show: (e) => waiting(e) },
  { name: t.oldest, show: (e) => <Ago at={e.health.oldest} /> },
]

function Nodes() {
  const health = useLoad((signal) => get<Health>('/health', {}, signal), [], 5)
  const cluster = useLoad((signal) => get<Cluster>('/cluster', {}, signal), [], 5)
  return (
    <Content of={cluster}>
      {(c) => {
        const down = c.members.filter((m) => !m.status)
        return (
          <Card title={t.cluster} actions={<Link to="/cluster">{t.showCluster}</Link>}>
            <Facts>
              <Fact name={t.nodes}>{c.members.length - down.length} / {c.members.length}</Fact>
              <Fact name={t.leader}>{c.leader || <Badge tone="bad">{t.noLeader}</Badge>}</Fact>
              {health.data && <Fact name={t.freeSpace}>{bytes(health.data.freeBytes)}</Fact>}
              {health.data && <Fact name={t.records}>{bytes(health.data.storeBytes)}</Fact>}
            </Facts>
            {health.data?.full && <p class="notice" role="alert">{t.full}<span class="told" lang="en">{health.data.full}</span></p>}
            {down.map((m) => <p key={m.id}><Badge tone="bad">{t.notResponding}</Badge> {m.id}: <span lang="en">{m.problem}</span></p>)}
          </Card>
        )
      }}
    </Content>
  )
}
