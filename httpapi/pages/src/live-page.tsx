// Attempts and changes as they happen.

import { useRef, useState } from 'preact/hooks'
import { p, type Attempt, type Skipped } from './api'
import { duration, number } from './format'
import { LiveTable } from './list'
import { type Event, useEvents } from './live'
import { Link } from './router'
import { answer, AttemptState } from './state'
import { t } from './text'
import { Badge, Button, Empty, Mono, Time, Title, type Column } from './ui'

const kept = 200 // rows
const drawn = 250 // ms between drawings, so that many events are one

type Row = Event & { data: Attempt & { appId: string; change?: string; timestamp: string } }

interface Seen {
  rows: Row[] // newest first
  count: number // of all rows
  skipped: number // events that were not sent
  since: string // when the page was away, if it was
}

const nothing: Seen = { rows: [], count: 0, skipped: 0, since: '' }

export function Live() {
  const [seen, set] = useState<Seen>(nothing)
  const [held, hold] = useState(false)
  const next = useRef(nothing)
  const timer = useRef(0)
  useEvents((events) => {
    const rows = events.filter((e) => e.kind === 'attempt' || e.kind === 'change') as Row[]
    const before = next.current
    next.current = {
      rows: [...rows.reverse(), ...before.rows].slice(0, kept), count: before.count + rows.length,
      skipped: before.skipped + events.reduce((sum, e) => sum + (e.kind === 'skipped' ? sizeOf(e.data as Skipped) : 0), 0),
      since: (events.find((e) => e.kind === 'gap')?.data.since as string | undefined) ?? before.since,
    }
    timer.current ||= window.setTimeout(() => {
      timer.current = 0
      set(next.current)
    }, drawn)
  })
  const clear = () => set(next.current = { ...nothing, count: next.current.count })
  return (
    <>
      <Title>{t.live}</Title>
      {seen.skipped > 0 && <p>{t.notShown(number(seen.skipped))}</p>}
      {seen.since !== '' && <p>{t.gap} <Time at={seen.since} full /></p>}
      {seen.rows.length === 0
        ? <Empty><p>{t.nothingYet}</p></Empty>
        : (
          <LiveTable caption={t.live} rows={seen.rows} id={(e) => e.id} count={seen.count} newest held={held} hold={hold} columns={columns}>
            <Button onClick={clear}>{t.clear}</Button>
          </LiveTable>
        )}
    </>
  )
}

const sizeOf = ({ attempts, changes }: Skipped): number => attempts.success + attempts.fail + attempts.canceled + changes

const columns: Column<Row>[] = [
  { name: t.time, show: ({ data }) => <Time at={data.timestamp} /> },
  { name: t.result, show: ({ kind, data }) => kind === 'attempt' ? <AttemptState of={data} /> : <Badge tone="off">{data.change}</Badge> },
  { name: t.response, show: ({ kind, data }) => kind === 'attempt' ? answer(data) : '' },
  { name: t.duration, show: ({ kind, data }) => kind === 'attempt' ? duration(data.responseDurationMs) : '' },
  { name: t.endpoint, wide: true, show: ({ data }) => data.endpointId ? <Link to={p`/apps/${data.appId}/endpoints/${data.endpointId}`}><Mono>{data.url ?? data.endpointId}</Mono></Link> : <Mono>{data.appId}</Mono> },
  { name: t.message, show: ({ data }) => data.msgId ? <Link to={p`/apps/${data.appId}/messages/${data.msgId}`}>{t.show}</Link> : '' },
]
