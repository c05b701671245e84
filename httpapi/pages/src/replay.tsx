// Past messages, sent to an endpoint again: what would be sent is counted before.

import { useState } from 'preact/hooks'
import { p, send, type Endpoint, type ReplayCount, type Task } from './api'
import { useReader } from './context'
import { fromLocalInput, fromNumberInput, number, toLocalInput } from './format'
import { useAction } from './load'
import { go } from './router'
import { t } from './text'
import { Button, Dialog, Failure, Form, Select, TextInput } from './ui'

type Which = 'failed' | 'never-attempted' | 'all'

export function ReplayDialog({ endpoint, close }: { endpoint: Endpoint; close: () => void }) {
  const { app, base } = useReader()
  const [which, setWhich] = useState<Which>('failed')
  const [since, setSince] = useState(toLocalInput(new Date(endpoint.health.failingSince ?? Date.now() - 24 * 3600_000)))
  const [until, setUntil] = useState('')
  const [types, setTypes] = useState('')
  const [rate, setRate] = useState('')
  const [count, setCount] = useState<ReplayCount | undefined>()
  const { busy, problem, run } = useAction()
  const request = <T,>(dryRun: boolean) => send<T>('POST', p`/app/${app}/endpoint/${endpoint.id}/bulk-replay`, {
    since: fromLocalInput(since), until: until === '' ? null : fromLocalInput(until), status: which,
    eventTypes: types.trim() === '' ? null : types.split(',').map((n) => n.trim()), rate: fromNumberInput(rate), ...(dryRun && { dryRun }),
  })
  const change = <T,>(set: (v: T) => void) => (v: T) => { setCount(undefined); set(v) }
  return (
    <Dialog title={t.replay} close={close}>
      <Form submit={() => run(async () => {
        if (count === undefined) setCount(await request<ReplayCount>(true))
        else go(base + p`/tasks/${(await request<Task>(false)).id}`)
      })}>
        <Select label={t.whichMessages} value={which} set={change((v: string) => setWhich(v as Which))}
          options={[['failed', t.which.failed], ['never-attempted', t.which.never], ['all', t.which.all]]} />
        <TextInput label={t.since} type="datetime-local" value={since} set={change(setSince)} error={problem?.fields.since} required />
        <TextInput label={t.until} type="datetime-local" value={until} set={change(setUntil)} error={problem?.fields.until} hint={t.untilHint} />
        <TextInput label={t.eventTypes} value={types} set={change(setTypes)} error={problem?.fields.eventTypes} hint={t.typesHint} />
        <TextInput label={t.rate} type="number" value={rate} set={change(setRate)} error={problem?.fields.rate} hint={t.rateHint} />
        <Failure problem={problem} />
        {count !== undefined && <p class="notice" role="status">{count.exact ? t.replayCount(count.total, number(count.total)) : t.replayMany(number(count.total))}</p>}
        {count !== undefined && (endpoint.paused || endpoint.disabled) && <p class="notice">{t.replayWaits}</p>}
        <div class="actions">
          <Button onClick={close}>{t.cancel}</Button>
          <Button submit kind="main" busy={busy} disabled={count?.exact && count.total === 0}>{count === undefined ? t.countFirst : t.startReplay}</Button>
        </div>
      </Form>
    </Dialog>
  )
}
