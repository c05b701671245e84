// What an operator may do with an application: links to its portal, its name, its end.

import { useState } from 'preact/hooks'
import { get, getTagged, p, send, sendTagged, type Application, type Page, type Tagged } from './api'
import { Conflict, saveOver, type Fields } from './conflict'
import { number } from './format'
import { useAction, useLoad } from './load'
import { PortalLinks } from './portal-links'
import { go } from './router'
import { t } from './text'
import { Button, Card, Confirm, Failure, Form, TextInput, Title, toast } from './ui'

export function ApplicationSettings({ of, reload }: { of: Tagged<Application>; reload: () => void }) {
  return (
    <>
      <Title><span dir="auto">{of.data.name}</span></Title>
      <PortalLinks app={of.data} />
      <Rename of={of} reload={reload} />
      <Deletion of={of.data} />
    </>
  )
}

const fieldsOf = ({ name }: { name: string }): Fields => ({ [t.name]: name })

function Rename({ of, reload }: { of: Tagged<Application>; reload: () => void }) {
  const [began, begin] = useState(of)
  const [name, setName] = useState(of.data.name)
  const [theirs, setTheirs] = useState<Tagged<Application> | undefined>()
  const { busy, problem, run } = useAction()
  const path = p`/app/${of.data.id}`
  const showAs = (now: Tagged<Application>) => {
    begin(now)
    setName(now.data.name)
    setTheirs(undefined)
    reload()
  }
  const save = (began: Tagged<Application>) => run(async () => {
    setTheirs(undefined)
    const { now, clash } = await saveOver({
      began, mine: { [t.name]: name }, fields: fieldsOf, write: (tag) => sendTagged<Application>('PATCH', path, { name }, tag), read: () => getTagged<Application>(path),
    })
    if (clash) return setTheirs(now)
    toast(t.saved)
    showAs(now)
  })
  return (
    <Card title={t.settings}>
      <Form submit={() => save(began)}>
        <TextInput label={t.name} value={name} set={setName} error={problem?.fields.name} required />
        <Failure problem={problem} />
        {theirs && <Conflict mine={{ [t.name]: name }} theirs={fieldsOf(theirs.data)} at={theirs.data.updatedAt} busy={busy} keep={() => save(theirs)} take={() => showAs(theirs)} />}
        <Button submit kind="main" busy={busy}>{t.save}</Button>
      </Form>
    </Card>
  )
}

function Deletion({ of }: { of: Application }) {
  const [asking, ask] = useState(false)
  const [typed, setTyped] = useState('')
  const endpoints = useLoad((signal) => get<Page<unknown>>(p`/app/${of.id}/endpoint`, { limit: 250 }, signal), [of.id])
  const { busy, problem, run } = useAction()
  return (
    <Card title={t.deleteApplication}>
      <p>{t.deleteApplicationText}</p>
      <Button kind="danger" onClick={() => ask(true)}>{t.deleteApplication}</Button>
      {asking && (
        <Confirm title={t.deleteApplication} action={t.deleteApplication} danger busy={busy} problem={problem} close={() => ask(false)} run={async () => {
          if (typed === of.name && (await run(() => send('DELETE', p`/app/${of.id}`)))) {
            toast(t.deleted)
            go('/apps')
          }
        }}>
          {endpoints.data && <p>{t.deleteEndpoints(number(endpoints.data.data.length) + (endpoints.data.done ? '' : '+'))}</p>}
          <TextInput label={t.typeName(of.name)} value={typed} set={setTyped} error={typed !== '' && typed !== of.name ? t.notTheName : undefined} required />
        </Confirm>
      )}
    </Card>
  )
}
