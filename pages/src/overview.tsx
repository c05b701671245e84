// What needs attention, first.

import { get, type Cluster } from './api'
import { bytes } from './format'
import { useLoad } from './load'
import { Link } from './router'
import { t } from './text'
import { Badge, Card, Content, Fact, Facts, Title } from './ui'

interface Health {
  status: string
  version: string
  freeBytes: number
  storeBytes: number
  full?: string
}

export function Overview() {
  const health = useLoad((signal) => get<Health>('/health', {}, signal), [], 5)
  const cluster = useLoad((signal) => get<Cluster>('/cluster', {}, signal), [], 5)
  return (
    <>
      <Title>{t.overview}</Title>
      <Content of={cluster}>
        {(c) => {
          const down = c.members.filter((m) => !m.status)
          return (
            <Card title={t.cluster} actions={<Link to="/cluster">{t.show}</Link>}>
              <Facts>
                <Fact name={t.nodes}>{c.members.length - down.length} / {c.members.length}</Fact>
                <Fact name={t.leader}>{c.leader || <Badge tone="bad">{t.noLeader}</Badge>}</Fact>
                {health.data && <Fact name={t.freeSpace}>{bytes(health.data.freeBytes)}</Fact>}
                {health.data && <Fact name={t.records}>{bytes(health.data.storeBytes)}</Fact>}
                {health.data && <Fact name={t.version}>{health.data.version}</Fact>}
              </Facts>
              {health.data?.full && <p class="notice" role="alert">{health.data.full}</p>}
              {down.map((m) => <p key={m.id}><Badge tone="bad">{t.notResponding}</Badge> {m.id}: {m.problem}</p>)}
            </Card>
          )
        }}
      </Content>
    </>
  )
}
