// The messages of an application, newest first, with what became of them.

import { useLayoutEffect, useMemo, useState } from 'preact/hooks'
import { get, p, type Message, type Page, type Problem } from './api'
import { useMatters, useReader } from './context'
import { number } from './format'
import { LiveTable } from './list'
import { useLoad } from './load'
import { Link, setQuery, usePlace } from './router'
import { t } from './text'
import { Badge, Button, Content, Empty, Mono, Pager, TextInput, Time, Title, type Column } from './ui'

export function Messages() {
  const { app, base } = useReader()
  const { query } = usePlace()
  const value = (name: string) => query.get(name) ?? ''
  const iterator = value('iterator')
  const list = useLoad((signal) => get<Page<Message> & { searchedTo?: string }>(p`/app/${app}/msg`, {
    limit: 50, iterator, with_content: false, with_status: true, search: value('search'), event_types: value('type'), tag: value('tag'), channel: value('channel'),
  }, signal), [app, query.toString()], iterator === '' && value('search') === '' ? 5 : 0, useMatters())
  const [held, hold] = useState(false)
  const filtered = filters.some((name) => value(name) !== '')
  const columns = useMemo((): Column<Message>[] => [
    { name: t.time, show: (m) => <Link to={base + p`/messages/${m.id}`}><Time at={m.timestamp} /></Link> },
    { name: t.eventType, show: (m) => <Mono>{m.eventType}</Mono> },
    { name: 'ID', wide: true, show: (m) => <Mono>{m.eventId ?? m.id}</Mono> },
    { name: t.result, show: (m) => <Outcomes of={m} /> },
  ], [base])
  return (
    <>
      <Title>{t.messages}</Title>
      <Filters value={value} wrong={list.problem?.fields ?? {}} />
      <Content of={list}>
        {(page) => (
          <>
            {page.data.length === 0
              ? <Empty><p>{!filtered ? t.noMessages : page.done ? t.noMatches : t.noMatchesYet}</p>{filtered && <Button onClick={clearFilters}>{t.clearFilters}</Button>}</Empty>
              : (
                <LiveTable caption={t.messages} rows={page.data} id={(m) => m.id} newest={iterator === ''} full={!page.done} held={held} hold={hold} columns={columns} />
              )}
            {page.searchedTo && !page.done && <p>{t.searchedTo} <Time at={page.searchedTo} full /></p>}
            <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
          </>
        )}
      </Content>
    </>
  )
}

function Outcomes({ of }: { of: Message }) {
  if (!of.outcomes) return null
  const { delivered, pending, failed } = of.outcomes
  if (delivered + pending + failed === 0) return <Badge tone="off">{t.noReceivers}</Badge>
  return (
    <span class="actions">
      {failed > 0 && <Badge tone="bad">{t.nFailed(number(failed))}</Badge>}
      {pending > 0 && <Badge tone="wait">{t.nPending(number(pending))}</Badge>}
      {delivered > 0 && <Badge tone="good">{t.nDelivered(number(delivered))}</Badge>}
    </span>
  )
}

const filters = ['search', 'type', 'tag', 'channel']

function clearFilters(): void {
  setQuery(Object.fromEntries([...filters, 'iterator'].map((name) => [name, ''])), false)
}

// Filters take effect when they are submitted, and follow the address when the reader goes back.
function Filters({ value, wrong }: { value: (name: string) => string; wrong: Problem['fields'] }) {
  const [search, setSearch] = useState(value('search'))
  const [type, setType] = useState(value('type'))
  const [tag, setTag] = useState(value('tag'))
  useLayoutEffect(() => { // before the reader can type
    setSearch(value('search'))
    setType(value('type'))
    setTag(value('tag'))
  }, [value('search'), value('type'), value('tag')])
  const apply = (e: Event) => {
    e.preventDefault()
    setQuery({ search, type, tag, iterator: '' }, false)
  }
  return (
    <form class="filters" role="search" onSubmit={apply}>
      <TextInput label={t.search} type="search" value={search} set={setSearch} error={wrong.search} placeholder={t.searchHint} />
      <TextInput label={t.eventType} value={type} set={setType} error={wrong.event_types} />
      <TextInput label={t.tag} value={tag} set={setTag} error={wrong.tag} />
      <div class="field"><Button submit>{t.search}</Button></div>
    </form>
  )
}
