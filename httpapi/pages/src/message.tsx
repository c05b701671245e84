// One message: its payload, and at each endpoint what happened to it and why.

import { get, p, send, sendForText, type Attempt, type EndpointExplanation, type Explanation, type Message, type Page } from './api'
import { AttemptDetails } from './attempt'
import { useMatters, useReader } from './context'
import { duration } from './format'
import { separate } from './json'
import { JSONView } from './json-view'
import { useAction, useLoad } from './load'
import { Link, setQuery, usePlace } from './router'
import { answer, AttemptState, DeliveryState } from './state'
import { Timeline } from './timeline'
import { t } from './text'
import { Button, Card, Content, Copy, Empty, Fact, Facts, Failure, Mono, Pager, Time, Title, toast } from './ui'

export function MessagePage({ id }: { id: string }) {
  const { app, base } = useReader()
  const path = p`/app/${app}/msg/${id}`
  const message = useLoad(async (signal) => {
    const [payload, rest] = separate(await sendForText('GET', path, undefined, {}, signal), 'payload')!
    return { payload, m: JSON.parse(rest) as Message }
  }, [path])
  return (
    <Content of={message} whole>
      {({ payload, m }) => (
        <>
          <p class="crumbs"><Link to={base + '/messages'}>{t.messages}</Link> ›</p>
          <Title><span dir="auto">{m.eventType}</span></Title>
          <Card>
            <Facts>
              <Fact name="ID"><Mono>{m.id}</Mono> <Copy text={m.id} /></Fact>
              {m.eventId && <Fact name={t.eventID}><Mono>{m.eventId}</Mono></Fact>}
              <Fact name={t.accepted}><Time at={m.timestamp} full /></Fact>
              {m.deliverAt && <Fact name={t.deliverAt}><Time at={m.deliverAt} full /></Fact>}
              {m.orderingKey && <Fact name={t.orderingKey}><Mono>{m.orderingKey}</Mono></Fact>}
              {m.channels && <Fact name={t.channels}>{m.channels.join(', ')}</Fact>}
              {m.tags && <Fact name={t.tags}>{m.tags.join(', ')}</Fact>}
            </Facts>
          </Card>
          <Destinations id={m.id} />
          <Card title={t.payload}><Payload json={payload} /></Card>
        </>
      )}
    </Content>
  )
}

// Payload shows what was sent. A payload that is no JSON is in a member of its own.
function Payload({ json }: { json: string }) {
  if (/^{\s*"(expired|rawPayload)"/.test(json)) {
    const of = JSON.parse(json) as { expired?: boolean; rawPayload?: string }
    if (Object.keys(of).length === 1 && of.expired === true) return <p>{t.expunged}</p>
    if (Object.keys(of).length === 1 && typeof of.rawPayload === 'string') return <JSONView text={of.rawPayload} />
  }
  return <JSONView text={json} isJSON />
}

function Destinations({ id }: { id: string }) {
  const { app } = useReader()
  const iterator = usePlace().query.get('iterator') ?? ''
  const matters = useMatters((d) => d.msgId === id)
  const list = useLoad((signal) => get<Explanation>(p`/app/${app}/msg/${id}/explain`, { iterator, limit: 20 }, signal), [app, id, iterator], 5, matters)
  const shown = list.data?.data.map((e) => e.endpointId) ?? []
  const attempts = useLoad((signal) => attemptsAt(p`/app/${app}/attempt/msg/${id}`, shown, signal), [app, id, shown.join()], 5, matters)
  return (
    <Content of={list}>
      {(page) => page.data.length === 0
        ? <Empty><p>{t.noEndpoints}</p></Empty>
        : (
          <>
            <Timeline accepted={page.acceptedAt} endpoints={page.data} attempts={attempts.data ?? []} />
            {page.data.map((e) => (
              <Destination key={e.endpointId} message={id} of={e} attempts={(attempts.data ?? []).filter((a) => a.endpointId === e.endpointId)}
                reload={() => { list.reload(); attempts.reload() }} />
            ))}
            <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
          </>
        )}
    </Content>
  )
}

// attemptsAt reads the attempts of a message, at these endpoints only if there are too many in all.
async function attemptsAt(path: string, endpoints: string[], signal: AbortSignal): Promise<Attempt[]> {
  const all = await get<Page<Attempt>>(path, { limit: 250 }, signal)
  if (all.done) return all.data
  const pages = await Promise.all(endpoints.map((id) => get<Page<Attempt>>(path, { limit: 100, endpoint_id: id }, signal)))
  return pages.flatMap((page) => page.data)
}

interface DestinationProps {
  message: string
  of: EndpointExplanation
  attempts: Attempt[]
  reload: () => void
}

function Destination({ message, of, attempts, reload }: DestinationProps) {
  const { app, base, may } = useReader()
  const { busy, problem, run } = useAction()
  const open = usePlace().query.get('attempt') ?? ''
  const toggle = (id: string, opened: boolean) => {
    if (opened !== (id === open)) setQuery({ attempt: opened ? id : '' })
  }
  const resend = () => void run(async () => {
    await send('POST', p`/app/${app}/msg/${message}/endpoint/${of.endpointId}/resend`)
    toast(t.resendRequested)
    reload()
  })
  return (
    <Card title={of.url} actions={
      <>
        <DeliveryState of={of} />
        {may('CreateAttempts') && <Button busy={busy} onClick={resend} aria-label={t.resendTo(of.url)}>{t.resend}</Button>}
      </>
    }>
      <p><span lang="en">{of.text}</span> · <Link to={base + p`/endpoints/${of.endpointId}`}>{t.showEndpoint}</Link></p>
      <Failure problem={problem} />
      {attempts.map((a) => (
        <details key={a.id} open={a.id === open} onToggle={(e) => toggle(a.id, e.currentTarget.open)}>
          <summary>
            <AttemptState of={a} /> {answer(a)} · <Time at={a.timestamp} /> · {duration(a.responseDurationMs)} · {a.triggerType === 1 ? t.manual(a.number) : t.attemptN(a.number)}
          </summary>
          {a.id === open && <AttemptDetails of={a} />}
        </details>
      ))}
    </Card>
  )
}
