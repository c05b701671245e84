// Applications: one for each customer.

import { useState } from 'preact/hooks'
import { get, p, send, type Application, type Page } from './api'
import { Strip, useStrips } from './chart'
import { useReader } from './context'
import { useAction, useLoad } from './load'
import { go, Link, setQuery, usePlace } from './router'
import { t } from './text'
import { Button, Content, Dialog, Empty, Failure, Form, Mono, Pager, Table, TextInput, Time, Title } from './ui'

export function Applications() {
  const { may } = useReader()
  const { query } = usePlace()
  const iterator = query.get('iterator') ?? '', search = query.get('search') ?? ''
  const [text, setText] = useState(search)
  const [adding, add] = useState(false)
  const list = useLoad((signal) => get<Page<Application>>('/app', { limit: 50, iterator, search }, signal), [iterator, search])
  const strips = useStrips('/stats/app/attempt', 'app_id', list.data?.data.map((a) => a.id) ?? [])
  return (
    <>
      <Title actions={may('ManageEndpoint') && <Button kind="main" onClick={() => add(true)}>{t.addApplication}</Button>}>{t.applications}</Title>
      <form class="filters" role="search" onSubmit={(e) => { e.preventDefault(); setQuery({ search: text, iterator: '' }, false) }}>
        <TextInput label={t.searchApplications} type="search" value={text} set={setText} />
        <div class="field"><Button submit>{t.search}</Button></div>
      </form>
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty><p>{search ? t.noMatches : t.noApplications}</p></Empty>
          : (
            <>
              <Table caption={t.applications} rows={page.data} id={(a) => a.id} columns={[
                { name: t.name, wide: true, show: (a) => <Link to={p`/apps/${a.id}`}><span dir="auto">{a.name}</span></Link> },
                { name: 'uid', show: (a) => a.uid ? <Mono>{a.uid}</Mono> : '–' },
                { name: t.lastDay, show: (a) => <Strip of={strips.get(a.id)} /> },
                { name: t.created, show: (a) => <Time at={a.createdAt} /> },
              ]} />
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
      {adding && <NewApplication close={() => add(false)} />}
    </>
  )
}

function NewApplication({ close }: { close: () => void }) {
  const [name, setName] = useState('')
  const [uid, setUID] = useState('')
  const { busy, problem, run } = useAction()
  return (
    <Dialog title={t.addApplication} close={close}>
      <Form submit={() => run(async () => go(p`/apps/${(await send<Application>('POST', '/app', { name, uid: uid || null })).id}`))}>
        <TextInput label={t.name} value={name} set={setName} error={problem?.fields.name} required />
        <TextInput label="uid" value={uid} set={setUID} error={problem?.fields.uid ?? problem?.conflict} hint={t.uidHint} />
        <Failure problem={problem} />
        <div class="actions">
          <Button onClick={close}>{t.cancel}</Button>
          <Button submit kind="main" busy={busy}>{t.addApplication}</Button>
        </div>
      </Form>
    </Dialog>
  )
}
