// API keys: who may do what.

import { useState } from 'preact/hooks'
import { get, p, send, type Key, type Page } from './api'
import { useAction, useLoad } from './load'
import { Link, usePlace } from './router'
import { t } from './text'
import { Ago, Button, Confirm, Content, Copy, Dialog, Empty, Failure, Form, Mono, Pager, Select, Table, TextInput, Time, Title, toast } from './ui'

export function Keys() {
  const iterator = usePlace().query.get('iterator') ?? ''
  const list = useLoad((signal) => get<Page<Key>>('/key', { limit: 50, iterator }, signal), [iterator])
  const [adding, add] = useState(false)
  const [revoking, revoke] = useState<Key | undefined>()
  const { busy, problem, run } = useAction()
  return (
    <>
      <Title actions={<Button kind="main" onClick={() => add(true)}>{t.addKey}</Button>}>{t.keys}</Title>
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty><p>{t.noKeys}</p></Empty>
          : (
            <>
              <Table caption={t.keys} rows={page.data} id={(k) => k.id ?? ''} columns={[
                { name: t.name, wide: true, show: (k) => <span dir="auto">{k.name}</span> },
                { name: t.role, show: (k) => k.applicationId ? <Link to={p`/apps/${k.applicationId}/settings`}>{t.roles[k.role]}</Link> : t.roles[k.role] },
                { name: t.created, show: (k) => <Time at={k.createdAt} /> },
                { name: t.lastUsed, show: (k) => <Ago at={k.lastUsed} /> },
                { name: t.expires, show: (k) => <Ago at={k.expiresAt} /> },
                { name: t.action, show: (k) => <Button kind="danger" onClick={() => revoke(k)} aria-label={t.revokeNamed(k.name)}>{t.revoke}</Button> },
              ]} />
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
      {adding && <NewKey close={() => { add(false); list.reload() }} />}
      {revoking && (
        <Confirm title={t.revokeNamed(revoking.name)} action={t.revoke} danger busy={busy} problem={problem} close={() => revoke(undefined)} run={async () => {
          if (await run(() => send('DELETE', p`/key/${revoking.id ?? ''}`))) {
            revoke(undefined)
            toast(t.revoked)
            list.reload()
          }
        }}>
          <p>{t.revokeText}</p>
        </Confirm>
      )}
    </>
  )
}

function NewKey({ close }: { close: () => void }) {
  const [name, setName] = useState('')
  const [role, setRole] = useState('producer')
  const [expiry, setExpiry] = useState('')
  const [token, setToken] = useState('')
  const { busy, problem, run } = useAction()
  if (token) {
    return (
      <Dialog title={t.keyCreated} close={close}>
        <p>{t.keyCreatedText}</p>
        <p><Mono>{token}</Mono></p>
        <div class="actions"><Copy text={token} /><Button kind="main" onClick={close}>{t.close}</Button></div>
      </Dialog>
    )
  }
  return (
    <Dialog title={t.addKey} close={close}>
      <Form submit={() => run(async () => setToken((await send<{ token: string }>('POST', '/key', { name, role, expiry: expiry === '' ? null : Number(expiry) })).token))}>
        <TextInput label={t.name} value={name} set={setName} error={problem?.fields.name} required />
        <Select label={t.role} value={role} set={setRole} options={[['producer', t.roles.producer], ['reader', t.roles.reader], ['admin', t.roles.admin]]} hint={t.roleHint} />
        <Select label={t.validFor} value={expiry} set={setExpiry} options={t.keyLives} error={problem?.fields.expiry} />
        <Failure problem={problem} />
        <div class="actions">
          <Button onClick={close}>{t.cancel}</Button>
          <Button submit kind="main" busy={busy}>{t.addKey}</Button>
        </div>
      </Form>
    </Dialog>
  )
}
