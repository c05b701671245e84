// Links to the portal of an application: created, listed while they are valid, and ended.

import { useState } from 'preact/hooks'
import { get, p, send, type Application, type Key, type Page } from './api'
import type { Capability } from './context'
import { useAction, useLoad } from './load'
import { t } from './text'
import { Ago, Button, Card, Confirm, Content, Copy, Failure, Mono, Select, Table, toast } from './ui'

const rights: Record<keyof typeof t.linkRights, Capability[]> = {
  all: ['ViewBase', 'ViewEndpointSecret', 'ManageEndpointSecret', 'CreateAttempts', 'ManageEndpoint'],
  send: ['ViewBase', 'CreateAttempts'],
  view: ['ViewBase'],
}

export function PortalLinks({ app }: { app: Application }) {
  const tokens = useLoad((signal) => get<Page<Key>>(p`/auth/app/${app.id}/token`, {}, signal), [app.id])
  const [ending, end] = useState<Key | 'all' | undefined>()
  const [url, setURL] = useState('')
  const { busy, problem, run } = useAction()
  const remove = async () => {
    const ok = await run(() => ending === 'all' ? send('POST', p`/auth/app/${app.id}/expire-all`, {}) : send('DELETE', p`/key/${ending!.id!}`))
    if (!ok) return
    toast(ending === 'all' ? t.linksRevoked : t.revoked)
    end(undefined)
    setURL('')
    tokens.reload()
  }
  return (
    <Card title={t.portalLinks}>
      <p>{t.portalLinksText}</p>
      <NewLink app={app} done={(made) => { setURL(made); tokens.reload() }} />
      {url && <div class="notice"><p><Mono>{url}</Mono></p><p><Copy text={url} /></p></div>}
      <Content of={tokens}>
        {({ data }) => data.length === 0 ? <p class="soft">{t.noLinks}</p> : (
          <>
            <Table caption={t.portalLinks} rows={data} id={(k) => k.id ?? ''} columns={[
              { name: t.name, wide: true, show: (k) => <span dir="auto">{k.name}{k.sessionId && <> <Mono>{k.sessionId}</Mono></>}</span> },
              { name: t.rights, show: rightsOf },
              { name: t.lastUsed, show: (k) => <Ago at={k.lastUsed} /> },
              { name: t.expires, show: (k) => <Ago at={k.expiresAt} /> },
              { name: t.action, show: (k) => <Button kind="danger" onClick={() => end(k)} aria-label={t.revokeNamed(k.name)}>{t.revoke}</Button> },
            ]} />
            <p><Button kind="danger" onClick={() => end('all')}>{t.revokeLinks}</Button></p>
            {ending && (
              <Confirm title={ending === 'all' ? t.revokeLinks : t.revokeNamed(ending.name)} action={t.revoke} danger busy={busy} problem={problem} close={() => end(undefined)} run={remove}>
                <p>{ending === 'all' ? t.revokeLinksText(data.length) : t.revokeText}</p>
              </Confirm>
            )}
          </>
        )}
      </Content>
    </Card>
  )
}

// rightsOf names what a link permits. The API makes other links than this page.
function rightsOf({ capabilities }: Key): string {
  const given = capabilities.filter((c) => c !== 'ManageTransformations') // there is nothing that it permits
  const known = Object.entries(rights).find(([, all]) => all.length === given.length && all.every((c) => given.includes(c)))
  return known ? t.linkRights[known[0] as keyof typeof rights] : given.join(', ')
}

function NewLink({ app, done }: { app: Application; done: (url: string) => void }) {
  const [right, setRight] = useState<keyof typeof rights>('all')
  const [expiry, setExpiry] = useState('604800')
  const { busy, problem, run } = useAction()
  const create = () => void run(async () => {
    done((await send<{ url: string }>('POST', p`/auth/app-portal-access/${app.id}`, { capabilities: rights[right], expiry: Number(expiry) })).url)
  })
  return (
    <>
      <div class="filters">
        <Select label={t.rights} value={right} set={(v) => setRight(v as typeof right)} options={Object.entries(t.linkRights)} />
        <Select label={t.validFor} value={expiry} set={setExpiry} options={t.linkLives} />
        <div class="field"><Button kind="main" busy={busy} onClick={create}>{t.createLink}</Button></div>
      </div>
      <Failure problem={problem} />
    </>
  )
}
