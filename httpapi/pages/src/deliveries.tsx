// Attempts to deliver, newest first: of an endpoint, or of a whole application.

import { useMemo, useState } from 'preact/hooks'
import { get, p, type Attempt, type Page, type Problem } from './api'
import { useMatters, useReader } from './context'
import { duration, fromLocalInput, toLocalInput } from './format'
import { LiveTable } from './list'
import { useLoad } from './load'
import { choiceColumn, Choices, useChosen } from './resend'
import { Link, setQuery, usePlace } from './router'
import { answer, AttemptState } from './state'
import { t } from './text'
import { Button, Content, Empty, Mono, Pager, Select, TextInput, Time, Title, type Column } from './ui'

// EndpointAttempts are those of one endpoint.
export function EndpointAttempts({ endpoint }: { endpoint: string }) {
  const { app } = useReader()
  return <Attempts path={p`/app/${app}/attempt/endpoint/${endpoint}`} endpoint={endpoint} />
}

// Deliveries are the attempts of the application at all endpoints.
export function Deliveries() {
  const { app } = useReader()
  return (
    <>
      <Title>{t.deliveries}</Title>
      <Attempts path={p`/app/${app}/attempt`} />
    </>
  )
}

function Attempts({ path, endpoint = '' }: { path: string; endpoint?: string }) {
  const { base, may } = useReader()
  const { query } = usePlace()
  const value = (name: string) => query.get(name) ?? ''
  const iterator = value('iterator')
  const list = useLoad((signal) => get<Page<Attempt>>(path, {
    limit: 50, iterator, with_content: false, with_msg: true, status: value('status'), status_code_class: value('class'), event_types: value('type'),
    before: value('until'),
  }, signal), [path, query.toString()], iterator === '' ? 5 : 0, useMatters((d) => endpoint === '' || d.endpointId === endpoint))
  const [held, hold] = useState(false)
  const [chosen, choose] = useChosen(path + query.toString())
  const columns = useMemo(() => [...(may('CreateAttempts') ? [choiceColumn(chosen, choose)] : []), ...columnsOf(base, endpoint === '')], [base, endpoint, chosen])
  const filtered = ['status', 'class', 'type', 'until'].some((name) => value(name) !== '')
  return (
    <>
      <Filters value={value} wrong={list.problem?.fields ?? {}} />
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty>{filtered || !page.done ? <><p>{page.done ? t.noMatches : t.noMatchesYet}</p><Pager iterator={page.iterator} done={page.done} first={iterator === ''} /><Button onClick={clearFilters}>{t.clearFilters}</Button></> : <p>{t.noAttempts}</p>}</Empty>
          : (
            <>
              <LiveTable caption={t.deliveries} rows={page.data} id={(a) => a.id} newest={iterator === ''} full={!page.done} held={held} hold={hold} still={chosen.size > 0} columns={columns}>
                {may('CreateAttempts') && <Choices rows={page.data} chosen={chosen} choose={choose} />}
              </LiveTable>
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
    </>
  )
}

const columnsOf = (base: string, urls: boolean): Column<Attempt>[] => [
  { name: t.time, show: (a) => <Link to={base + p`/messages/${a.msgId}`}><Time at={a.timestamp} /></Link> },
  { name: t.result, show: (a) => <AttemptState of={a} /> },
  { name: t.response, show: (a) => answer(a) },
  { name: t.duration, show: (a) => duration(a.responseDurationMs) },
  { name: t.eventType, show: (a) => <Mono>{a.msg?.eventType ?? ''}</Mono> },
  ...(urls ? [{ name: t.endpoint, wide: true, show: (a: Attempt) => <Link to={base + p`/endpoints/${a.endpointId}`}><Mono>{a.url}</Mono></Link> }] : []),
  { name: t.attempt, show: (a) => <span class="whole">{a.triggerType === 1 ? t.manual(a.number) : a.number}</span> },
  { name: t.nextAttempt, show: (a) => <Time at={a.nextAttempt} /> },
]

const filters = ['status', 'class', 'type', 'until', 'iterator']

function clearFilters(): void {
  setQuery(Object.fromEntries(filters.map((name) => [name, ''])))
}

// Filters live in the address, so that a link shows the same list.
function Filters({ value, wrong }: { value: (name: string) => string; wrong: Problem['fields'] }) {
  const set = (name: string) => (to: string) => setQuery({ [name]: to, iterator: '' })
  const until = value('until')
  return (
    <form class="filters" aria-label={t.filter} onSubmit={(e) => e.preventDefault()}>
      <Select label={t.result} value={value('status')} set={set('status')}
        options={[['', t.all], ['0', t.outcome.success], ['3', t.outcome.sending], ['2', t.outcome.fail], ['4', t.outcome.canceled]]} />
      <Select label={t.response} value={value('class')} set={set('class')}
        options={[['', t.all], ['200', '2xx'], ['300', '3xx'], ['400', '4xx'], ['500', '5xx'], ['0', t.noResponse]]} />
      <TextInput label={t.eventType} value={value('type')} set={set('type')} error={wrong.event_types} />
      <TextInput label={t.before} type="datetime-local" value={until ? toLocalInput(new Date(until)) : ''} error={wrong.before} set={(v) => set('until')(fromLocalInput(v))} />
    </form>
  )
}
