// Background tasks: replays, and how far they are.

import { useState } from 'preact/hooks'
import { get, p, send, type Page, type Task } from './api'
import { useReader } from './context'
import { number } from './format'
import { useAction, useLoad } from './load'
import { Link, usePlace } from './router'
import { TaskState } from './state'
import { t } from './text'
import { Button, Card, Confirm, Content, Empty, Fact, Facts, Failure, Mono, Pager, Table, Time, Title } from './ui'

export function TaskTable({ tasks }: { tasks: Task[] }) {
  const { app, base } = useReader()
  return (
    <Table caption={t.replays} rows={tasks} id={(k) => k.id} columns={[
      { name: t.started, show: (k) => <Link to={base + p`/tasks/${k.id}`}><Time at={k.data.createdAt} /></Link> },
      ...(app ? [] : [{ name: t.application, show: (k: Task) => <Link to={p`/apps/${k.data.appId}`}><Mono>{k.data.appId}</Mono></Link> }]),
      { name: t.state, show: (k) => <TaskState of={k} /> },
      { name: t.sent, show: (k) => number(k.data.messagesSent) + (k.data.total === null ? '' : ' / ' + number(totalOf(k.data))) },
      { name: t.failedCount, show: (k) => number(k.data.failed) },
    ]} />
  )
}

export function Tasks() {
  const { app } = useReader()
  const iterator = usePlace().query.get('iterator') ?? ''
  const list = useLoad((signal) => get<Page<Task>>('/background-task', { limit: 50, iterator, app }, signal), [app, iterator], 5)
  return (
    <>
      <Title>{t.replays}</Title>
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty><p>{t.noTasks}</p></Empty>
          : <><TaskTable tasks={page.data} /><Pager iterator={page.iterator} done={page.done} first={iterator === ''} /></>}
      </Content>
    </>
  )
}

export function TaskPage({ id }: { id: string }) {
  const { app, base, may } = useReader()
  const task = useLoad((signal) => get<Task>(p`/background-task/${id}`, {}, signal), [id], 2)
  const { busy, problem, run } = useAction()
  const [asking, ask] = useState(false)
  const act = (what: string) => () => void run(async () => {
    await send('POST', p`/background-task/${id}` + what)
    task.reload()
  })
  return (
    <Content of={task} whole>
      {({ data: d, ...k }) => (
        <>
          <p class="crumbs"><Link to={base + '/tasks'}>{t.replays}</Link> › <Link to={(app ? base : p`/apps/${d.appId}`) + p`/endpoints/${d.endpointId}`}>{t.endpoint}</Link></p>
          <Title actions={<TaskState of={{ ...k, data: d }} />}>{t.replay}</Title>
          <Card>
            <Progress of={d} />
            <Facts>
              <Fact name={t.delivered}>{number(d.delivered)}</Fact>
              <Fact name={t.failedCount}>{number(d.failed)}</Fact>
              <Fact name={t.waiting}>{number(d.waiting)}</Fact>
              <Fact name={t.whichMessages}>{t.whichOf[d.messages]}</Fact>
              <Fact name={t.since}><Time at={d.since} full /></Fact>
              <Fact name={t.until}><Time at={d.until} full /></Fact>
              <Fact name="ID"><Mono>{k.id}</Mono></Fact>
            </Facts>
            <Failure problem={problem} />
            {may('CreateAttempts') && (d.state === 'running' || d.state === 'paused') && (
              <div class="actions">
                {d.state === 'running' ? <Button busy={busy} onClick={act('/pause')}>{t.pause}</Button> : <Button busy={busy} onClick={act('/resume')}>{t.resume}</Button>}
                <Button kind="danger" busy={busy} onClick={() => ask(true)}>{t.cancelTask}</Button>
              </div>
            )}
            {asking && (
              <Confirm title={t.cancelTask} action={t.cancelTask} danger busy={busy} problem={problem} close={() => ask(false)} run={async () => {
                if (!(await run(() => send('POST', p`/background-task/${id}/cancel`)))) return
                ask(false)
                task.reload()
              }}>
                <p>{t.cancelTaskText(number(d.messagesSent), d.total === null ? undefined : number(Math.max(0, d.total - d.messagesSent)))}</p>
              </Confirm>
            )}
          </Card>
        </>
      )}
    </Content>
  )
}

// totalOf is what was counted before the task began, or more if more came to be sent since.
const totalOf = ({ total, messagesSent }: Task['data']): number => Math.max(total ?? 0, messagesSent)

function Progress({ of }: { of: Task['data'] }) {
  const sent = of.messagesSent
  if (of.total === null) return <p>{t.sentOfMany(number(sent))}</p>
  return (
    <>
      <progress value={of.state === 'finished' ? 1 : sent} max={of.state === 'finished' ? 1 : Math.max(totalOf(of), 1)} aria-label={t.progress} />
      <p>{t.sentOf(number(sent), number(totalOf(of)))}</p>
    </>
  )
}
