// One endpoint: its health, its deliveries and its settings.

import { useState } from 'preact/hooks'
import { get, getTagged, p, send, type Endpoint, type EventType, type Page, type Tagged, type Task } from './api'
import { Activity } from './chart'
import { useMatters, useReader } from './context'
import { EndpointAttempts } from './deliveries'
import { EndpointForm } from './endpoint-form'
import { Headers } from './headers'
import { number } from './format'
import { type Loaded, useAction, useLoad } from './load'
import { ReplayDialog } from './replay'
import { go, Link, usePlace } from './router'
import { Secret } from './secret'
import { EndpointState } from './state'
import { TaskTable } from './tasks'
import { t } from './text'
import { Ago, Button, Card, Confirm, Content, Copy, Dialog, Fact, Facts, Failure, Form, Mono, Select, Time, Title, toast } from './ui'
import { waiting } from './endpoints'

export type Tab = 'overview' | 'deliveries' | 'settings'

export function EndpointPage({ id, tab }: { id: string; tab: Tab }) {
  const { app, base, may } = useReader()
  const endpoint = useLoad((signal) => getTagged<Endpoint>(p`/app/${app}/endpoint/${id}`, signal), [app, id], 10, useMatters((d) => d.endpointId === id || !id.startsWith('ep_')))
  const path = base + p`/endpoints/${id}`
  const tabs: [Tab, string, string][] = [['overview', t.overview, path], ['deliveries', t.deliveries, path + '/deliveries']]
  if (may('ManageEndpoint') || may('ViewEndpointSecret')) tabs.push(['settings', t.settings, path + '/settings'])
  return (
    <Content of={endpoint} whole>
      {({ data: e, tag }) => (
        <>
          <p class="crumbs"><Link to={base + '/endpoints'}>{t.endpoints}</Link> ›</p>
          <Title actions={<EndpointState of={e} />}><span dir="auto">{e.url}</span></Title>
          {e.description && <p dir="auto">{e.description}</p>}
          <nav class="tabs" aria-label={t.parts}>
            {tabs.map(([name, text, to]) => <Link key={name} to={to} aria-current={name === tab ? 'page' : undefined}>{text}</Link>)}
          </nav>
          {tab === 'overview' && <Overview of={e} loaded={endpoint} />}
          {tab === 'deliveries' && <EndpointAttempts endpoint={e.id} />}
          {tab === 'settings' && <Settings of={e} tag={tag} loaded={endpoint} />}
        </>
      )}
    </Content>
  )
}

function Overview({ of, loaded }: { of: Endpoint; loaded: Loaded<Tagged<Endpoint>> }) {
  const { app, may } = useReader()
  const h = of.health
  const tasks = useLoad((signal) => get<Page<Task>>('/background-task', { limit: 5, app, endpoint: of.id }, signal), [of.id], 10, useMatters((d) => typeof d.change === 'string'))
  return (
    <>
      <Card title={t.healthTitle}>
        {h.state !== 'healthy' && <p lang="en">{h.text}</p>}
        <Facts>
          <Fact name={t.waiting}>{waiting(of)}</Fact>
          <Fact name={t.oldest}><Ago at={h.oldest} /></Fact>
          {h.failingSince && <Fact name={t.failingSince}><Time at={h.failingSince} /></Fact>}
          {h.nextProbe && <Fact name={t.nextProbe}><Ago at={h.nextProbe} /></Fact>}
          {h.expired > 0 && <Fact name={t.expired}>{number(h.expired)}</Fact>}
        </Facts>
        <Controls of={of} loaded={loaded} />
      </Card>
      <Activity path={p`/stats/app/${app}/endpoint/${of.id}/attempt`} />
      {may('CreateAttempts') && <Sending of={of} />}
      {tasks.data && tasks.data.data.length > 0 && <Card title={t.replays}><TaskTable tasks={tasks.data.data} /></Card>}
    </>
  )
}

// Controls pause and resume, enable and disable.
function Controls({ of, loaded }: { of: Endpoint; loaded: Loaded<Tagged<Endpoint>> }) {
  const { app, may } = useReader()
  const { busy, problem, run } = useAction()
  if (!may('ManageEndpoint')) return null
  const path = p`/app/${app}/endpoint/${of.id}`
  const act = (method: string, to: string, body: unknown, said: string) => () => void run(async () => {
    await send(method, to, body)
    toast(said)
    loaded.reload()
  })
  return (
    <>
      <Failure problem={problem} />
      <div class="actions">
        {of.disabled
          ? <Button kind="main" busy={busy} onClick={act('PATCH', path, { disabled: false }, t.enabled)}>{t.enable}</Button>
          : of.paused
            ? <Button kind="main" busy={busy} onClick={act('POST', path + '/resume', {}, t.resumed)}>{t.resume}</Button>
            : <Button busy={busy} onClick={act('POST', path + '/pause', undefined, t.pausedNow)}>{t.pause}</Button>}
        {of.health.state === 'parked' && <Button busy={busy} onClick={act('POST', path + '/resume', {}, t.resumed)}>{t.tryNow}</Button>}
        {!of.disabled && <Button busy={busy} onClick={act('PATCH', path, { disabled: true }, t.disabledNow)}>{t.disable}</Button>}
      </div>
    </>
  )
}

// Sending replays past messages and sends examples.
function Sending({ of }: { of: Endpoint }) {
  const [replaying, replay] = useState(false)
  const [example, setExample] = useState(false)
  return (
    <Card title={t.sendAgain} actions={
      <>
        <Button onClick={() => replay(true)}>{t.replay}</Button>
        <Button onClick={() => setExample(true)}>{t.sendExample}</Button>
      </>
    }>
      <p>{t.sendAgainText}</p>
      {replaying && <ReplayDialog endpoint={of} close={() => replay(false)} />}
      {example && <ExampleDialog endpoint={of} close={() => setExample(false)} />}
    </Card>
  )
}

function ExampleDialog({ endpoint, close }: { endpoint: Endpoint; close: () => void }) {
  const { app, base } = useReader()
  const types = useLoad((signal) => get<Page<EventType>>('/event-type', { limit: 250 }, signal), [])
  const [type, setType] = useState('')
  const { busy, problem, run } = useAction()
  return (
    <Dialog title={t.sendExample} close={close}>
      <Content of={types}>
        {({ data }) => data.length === 0 ? <p>{t.noEventTypes}</p> : (
          <Form submit={() => run(async () => {
            const { id } = await send<{ id: string }>('POST', p`/app/${app}/endpoint/${endpoint.id}/send-example`, { eventType: type || data[0]!.name })
            toast(t.exampleSent)
            go(base + p`/messages/${id}`)
          })}>
            <Select label={t.eventType} value={type || data[0]!.name} set={setType} options={data.map((e) => [e.name, e.name])} error={problem?.fields.eventType} />
            <Failure problem={problem} />
            <div class="actions">
              <Button onClick={close}>{t.cancel}</Button>
              <Button submit kind="main" busy={busy}>{t.sendExample}</Button>
            </div>
          </Form>
        )}
      </Content>
    </Dialog>
  )
}

function Settings({ of, tag, loaded }: { of: Endpoint; tag: string; loaded: Loaded<Tagged<Endpoint>> }) {
  const { may } = useReader()
  return (
    <>
      {may('ViewEndpointSecret') && <Card title={t.secret}><Secret endpoint={of} /></Card>}
      {may('ManageEndpoint') && (
        <>
          <Card title={t.settings}><EndpointForm of={{ data: of, tag }} done={() => { toast(t.saved); loaded.reload() }} /></Card>
          <Card title={t.headers}><Headers endpoint={of} /></Card>
          <Deletion of={of} />
        </>
      )}
      <Card title={t.forSupport}>
        <Facts>
          <Fact name="ID"><Mono>{of.id}</Mono> <Copy text={of.id} /></Fact>
          {of.uid && <Fact name="uid"><Mono>{of.uid}</Mono></Fact>}
          <Fact name={t.created}><Time at={of.createdAt} full /></Fact>
          <Fact name={t.changed}><Time at={of.updatedAt} full /></Fact>
        </Facts>
      </Card>
    </>
  )
}

function Deletion({ of }: { of: Endpoint }) {
  const { app, base } = useReader()
  const [asking, ask] = useState(usePlace().query.has('delete'))
  const { busy, problem, run } = useAction()
  return (
    <Card title={t.deleteEndpoint}>
      <p>{t.deleteEndpointText}</p>
      <Button kind="danger" onClick={() => ask(true)}>{t.deleteEndpoint}</Button>
      {asking && (
        <Confirm title={t.deleteEndpoint} action={t.deleteEndpoint} danger busy={busy} problem={problem} close={() => ask(false)} run={async () => {
          if (await run(() => send('DELETE', p`/app/${app}/endpoint/${of.id}`))) {
            toast(t.deleted)
            go(base + '/endpoints')
          }
        }}>
          <p><Mono>{of.url}</Mono></p>
          <p>{t.deleteWaiting(waiting(of))}</p>
        </Confirm>
      )}
    </Card>
  )
}
