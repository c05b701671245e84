// The event types that messages have, with their schemas.

import type { ComponentChildren } from 'preact'
import { get, p, sendForText, type EventType, type Page } from './api'
import { useReader } from './context'
import { member, members } from './json'
import { JSONView } from './json-view'
import { useLoad } from './load'
import { Link, usePlace } from './router'
import { t } from './text'
import { Badge, Card, Content, Empty, Mono, Pager, Table, Title } from './ui'

interface CatalogueProps {
  actions?: ComponentChildren
  archived?: boolean // whether archived ones are listed, too
}

export function Catalogue({ actions, archived = false }: CatalogueProps) {
  const { base } = useReader()
  const iterator = usePlace().query.get('iterator') ?? ''
  const list = useLoad((signal) => get<Page<EventType>>('/event-type', { limit: 100, iterator, include_archived: archived }, signal), [iterator])
  return (
    <>
      <Title actions={actions}>{t.eventTypes}</Title>
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty><p>{t.noEventTypes}</p></Empty>
          : (
            <>
              <Table caption={t.eventTypes} rows={page.data} id={(e) => e.name} columns={[
                { name: t.name, show: (e) => <Link to={base + p`/event-types/${e.name}`}><Mono>{e.name}</Mono></Link> },
                { name: t.description, wide: true, show: (e) => <span dir="auto">{e.description || '–'}</span> },
                { name: t.state, show: (e) => <EventTypeState of={e} /> },
              ]} />
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
    </>
  )
}

function EventTypeState({ of }: { of: EventType }) {
  if (of.archived) return <Badge tone="off">{t.archived}</Badge>
  return of.deprecated ? <Badge tone="wait">{t.deprecated}</Badge> : <Badge tone="good">{t.inUse}</Badge>
}

interface EventTypePageProps {
  name: string
  actions?: (of: EventType, reload: () => void) => ComponentChildren
}

export function EventTypePage({ name, actions }: EventTypePageProps) {
  const { base } = useReader()
  const type = useLoad(async (signal) => {
    const text = await sendForText('GET', p`/event-type/${name}`, undefined, {}, signal)
    return { e: JSON.parse(text) as EventType, schemas: member(text, 'schemas')! }
  }, [name])
  return (
    <>
      <p class="crumbs"><Link to={base + '/event-types'}>{t.eventTypes}</Link> ›</p>
      <Content of={type} whole>
        {({ e, schemas }) => (
          <>
            <Title actions={<><EventTypeState of={e} />{actions?.(e, type.reload)}</>}>{name}</Title>
            <p dir="auto">{e.description}</p>
            {Object.keys(e.schemas ?? {}).length === 0 && <p class="soft">{t.noSchema}</p>}
            {schemas !== 'null' && members(schemas).map(([version, text]) => (
              <Card key={version} title={t.schema(version)}><Schema text={text} /></Card>
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

function Schema({ text }: { text: string }) {
  const of = JSON.parse(text) as JSONSchema
  const rows = Object.entries(of.properties ?? {})
  const examples = Array.isArray(of.examples) && of.examples.length > 0 ? member(text, 'examples') : undefined
  return (
    <>
      {rows.length > 0 && (
        <Table caption={t.members} rows={rows} id={([name]) => name} columns={[
          { name: t.name, show: ([name]) => <Mono>{name}</Mono> },
          { name: t.type, show: ([, s]) => [s.type].flat().join(' | ') },
          { name: t.required, show: ([name]) => of.required?.includes(name) ? t.yes : t.no },
          { name: t.description, wide: true, show: ([, s]) => <span dir="auto">{s.description || '–'}</span> },
        ]} />
      )}
      {examples && <><h3>{t.examples}</h3><JSONView text={examples} /></>}
      <details>
        <summary>{t.wholeSchema}</summary>
        <JSONView text={text} />
      </details>
    </>
  )
}
