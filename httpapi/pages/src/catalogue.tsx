// The event types that messages have, with their schemas.

import { get, p, type EventType, type Page } from './api'
import { useReader } from './context'
import { JSONView } from './json-view'
import { useLoad } from './load'
import { Link, usePlace } from './router'
import { t } from './text'
import { Badge, Card, Content, Empty, Mono, Pager, Table, Title } from './ui'

export function Catalogue() {
  const { base } = useReader()
  const iterator = usePlace().query.get('iterator') ?? ''
  const list = useLoad((signal) => get<Page<EventType>>('/event-type', { limit: 100, iterator }, signal), [iterator])
  return (
    <>
      <Title>{t.eventTypes}</Title>
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty><p>{t.noEventTypes}</p></Empty>
          : (
            <>
              <Table caption={t.eventTypes} rows={page.data} id={(e) => e.name} columns={[
                { name: t.name, show: (e) => <Link to={base + p`/event-types/${e.name}`}><Mono>{e.name}</Mono></Link> },
                { name: t.description, wide: true, show: (e) => <span dir="auto">{e.description}</span> },
                { name: t.state, show: (e) => e.deprecated ? <Badge tone="wait">{t.deprecated}</Badge> : <Badge tone="good">{t.inUse}</Badge> },
              ]} />
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
    </>
  )
}

export function EventTypePage({ name }: { name: string }) {
  const { base } = useReader()
  const type = useLoad((signal) => get<EventType>(p`/event-type/${name}`, {}, signal), [name])
  return (
    <>
      <p class="crumbs"><Link to={base + '/event-types'}>{t.eventTypes}</Link> ›</p>
      <Title>{name}</Title>
      <Content of={type}>
        {(e) => (
          <>
            <p dir="auto">{e.description}</p>
            {Object.entries(e.schemas ?? {}).map(([version, schema]) => (
              <Card key={version} title={t.schema(version)}><Schema of={schema as JSONSchema} /></Card>
            ))}
          </>
        )}
      </Content>
    </>
  )
}

interface JSONSchema {
  properties?: Record<string, { type?: string | string[]; description?: string }>
  required?: string[]
  examples?: unknown[]
}

function Schema({ of }: { of: JSONSchema }) {
  const rows = Object.entries(of.properties ?? {})
  return (
    <>
      {rows.length > 0 && (
        <Table caption={t.members} rows={rows} id={([name]) => name} columns={[
          { name: t.name, show: ([name]) => <Mono>{name}</Mono> },
          { name: t.type, show: ([, s]) => [s.type].flat().join(' | ') },
          { name: t.required, show: ([name]) => of.required?.includes(name) ? t.yes : t.no },
          { name: t.description, wide: true, show: ([, s]) => <span dir="auto">{s.description ?? ''}</span> },
        ]} />
      )}
      {(of.examples ?? []).slice(0, 3).map((example) => <JSONView text={JSON.stringify(example)} />)}
      <details>
        <summary>{t.wholeSchema}</summary>
        <JSONView text={JSON.stringify(of)} />
      </details>
    </>
  )
}
