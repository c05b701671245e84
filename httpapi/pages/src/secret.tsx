// The signing key of an endpoint: shown for a while when asked for, and rotated with an overlap.

import { useEffect, useState } from 'preact/hooks'
import { get, p, send, type Endpoint } from './api'
import { useReader } from './context'
import { useAction } from './load'
import { t } from './text'
import { Ago, Button, Confirm, Copy, Failure, Mono, Select, toast } from './ui'

interface SecretOut {
  key: string
  oldKeys: { expiresAt: string }[]
}

const shown = 30 // seconds

export function Secret({ endpoint }: { endpoint: Endpoint }) {
  const { app, may } = useReader()
  const path = p`/app/${app}/endpoint/${endpoint.id}/secret`
  const [secret, set] = useState<SecretOut | undefined>()
  const [rotating, rotate] = useState(false)
  const { busy, problem, run } = useAction()
  useEffect(() => {
    if (!secret) return
    const timer = setTimeout(() => set(undefined), shown * 1000)
    return () => clearTimeout(timer)
  }, [secret])
  return (
    <>
      <p>{t.secretText}</p>
      {secret && (
        <>
          <p><Mono>{secret.key}</Mono></p>
          {secret.oldKeys.map((k) => <p>{t.oldKey} <Ago at={k.expiresAt} /></p>)}
        </>
      )}
      <Failure problem={problem} />
      <div class="actions">
        <Button busy={busy} onClick={() => secret ? set(undefined) : void run(async () => set(await get<SecretOut>(path)))}>{secret ? t.hide : t.reveal}</Button>
        {secret && <Copy text={secret.key} />}
        {may('ManageEndpointSecret') && <Button onClick={() => rotate(true)}>{t.rotate}</Button>}
      </div>
      {rotating && <Rotation path={path} close={() => rotate(false)} done={() => { rotate(false); set(undefined); toast(t.rotated) }} />}
    </>
  )
}

function Rotation({ path, close, done }: { path: string; close: () => void; done: () => void }) {
  const [overlap, setOverlap] = useState('86400')
  const { busy, problem, run } = useAction()
  return (
    <Confirm title={t.rotate} action={t.rotate} close={close} busy={busy} problem={problem} run={async () => {
      if (await run(() => send('POST', path + '/rotate', { gracePeriodSeconds: Number(overlap) }))) done()
    }}>
      <p>{t.rotateText}</p>
      <Select label={t.overlap} value={overlap} set={setOverlap} options={t.overlaps} />
    </Confirm>
  )
}
