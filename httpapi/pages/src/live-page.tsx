// Attempts and changes as they happen.

import { useRef, useState } from 'preact/hooks'
import { p, type Attempt, type Skipped } from './api'
import { duration, number } from './format'
import { type Event, useStream } from './live'
import { Link } from './router'
import { answer, AttemptState } from './state'
import { t } from './text'
import { Badge, Button, Empty, Mono, Table, Time, Title } from './ui'

const kept = 200 // rows
const rate = 50 // events per second; the others are only counted
const drawn = 250 // ms between drawings

type Row = Event & { data: Attempt & { appId: string; change?: string; timestamp: string } }

export function Live() {
  const [rows, setRows] = useState<Row[]>([])
  const [held, hold] = useState(false)
  const [missed, setMissed] = useState(0)
  const [skipped, setSkipped] = useState(0)
  const waiting = useRef<Row[]>([])
  const timer = useRef(0)
  const holding = useRef(false)
  holding.current = held
  const connection = useStream({ rate }, (events) => {
    for (const { kind, data } of events) {
      if (kind !== 'skipped') continue
      const { attempts, changes } = data as Skipped
      setSkipped((n) => n + attempts.success + attempts.fail + attempts.canceled + changes)
    }
    const wanted = events.filter((e) => e.kind === 'attempt' || e.kind === 'change') as Row[]
    waiting.current = [...wanted.reverse(), ...waiting.current].slice(0, kept)
    timer.current ||= window.setTimeout(() => { // so that many events are one drawing
      timer.current = 0
      if (holding.current) return setMissed(waiting.current.length)
      draw()
    }, drawn)
  })
  const draw = () => {
    const fresh = waiting.current
    waiting.current = []
    setMissed(0)
    setRows((before) => [...fresh, ...before].slice(0, kept))
  }
  return (
    <>
      <Title actions={
        <>
          <Badge tone={connection === 'open' ? 'good' : 'wait'}>{t.connection[connection]}</Badge>
          <Button onClick={() => { hold(!held); if (held) draw() }} aria-pressed={held}>{held ? t.goOn(missed) : t.hold}</Button>
          <Button onClick={() => { setRows([]); setSkipped(0) }}>{t.clear}</Button>
        </>
      }>{t.live}</Title>
      {skipped > 0 && <p>{t.notShown(number(skipped))}</p>}
      {rows.length === 0
        ? <Empty><p>{t.nothingYet}</p></Empty>
        : (
          <Table caption={t.live} rows={rows} id={(e) => e.id} columns={[
            { name: t.time, show: ({ data }) => <Time at={data.timestamp} /> },
            { name: t.result, show: ({ kind, data }) => kind === 'attempt' ? <AttemptState of={data} /> : <Badge tone="off">{data.change}</Badge> },
            { name: t.response, show: ({ kind, data }) => kind === 'attempt' ? answer(data) : '' },
            { name: t.duration, show: ({ kind, data }) => kind === 'attempt' ? duration(data.responseDurationMs) : '' },
            { name: t.endpoint, wide: true, show: ({ data }) => data.endpointId ? <Link to={p`/apps/${data.appId}/endpoints/${data.endpointId}`}><Mono>{data.url ?? data.endpointId}</Mono></Link> : <Mono>{data.appId}</Mono> },
            { name: t.message, show: ({ data }) => data.msgId ? <Link to={p`/apps/${data.appId}/messages/${data.msgId}`}>{t.show}</Link> : '' },
          ]} />
        )}
    </>
  )
}
