// Several deliveries, chosen from a list and sent again.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { p, send, type Attempt } from './api'
import { useReader } from './context'
import { number } from './format'
import { useAction } from './load'
import { t } from './text'
import { Button, Dialog, Failure, toast, type Column } from './ui'

// useChosen keeps which attempts are chosen, until the list is another.
export function useChosen(list: string): [chosen: Map<string, Attempt>, choose: (attempts: Attempt[], on: boolean) => void] {
  const [chosen, set] = useState(new Map<string, Attempt>())
  useLayoutEffect(() => set(new Map()), [list]) // before the reader can choose
  return [chosen, (attempts, on) => set((before) => {
    const after = new Map(before)
    for (const a of attempts) {
      if (on) after.set(a.id, a)
      else after.delete(a.id)
    }
    return after
  })]
}

// choiceColumn has a box for each attempt.
export function choiceColumn(chosen: Map<string, Attempt>, choose: (attempts: Attempt[], on: boolean) => void): Column<Attempt> {
  return {
    name: t.choice,
    show: (a) => <input type="checkbox" class="choice" checked={chosen.has(a.id)} aria-label={t.choose(a.msg?.eventType ?? a.msgId, a.url)} onChange={(e) => choose([a], e.currentTarget.checked)} />,
  }
}

interface Props {
  rows: Attempt[]
  chosen: Map<string, Attempt>
  choose: (attempts: Attempt[], on: boolean) => void
}

// Choices are the buttons above such a list.
export function Choices({ rows, chosen, choose }: Props) {
  const [asking, ask] = useState(false)
  const all = rows.every((a) => chosen.has(a.id))
  return (
    <>
      <Button onClick={() => choose(all ? [...chosen.values()] : rows, !all)}>{all ? t.chooseNone : t.chooseAll}</Button>
      <Button kind="main" disabled={chosen.size === 0} onClick={() => ask(true)}>{t.resendChosen(number(chosen.size))}</Button>
      {asking && <ResendDialog attempts={[...chosen.values()]} sent={(a) => choose(a, false)} close={() => ask(false)} />}
    </>
  )
}

// ResendDialog says how much will be sent, sends it and shows how far it is. It can be stopped, and
// continued after a failure: what was sent is no longer chosen.
function ResendDialog({ attempts, sent, close }: { attempts: Attempt[]; sent: (attempts: Attempt[]) => void; close: () => void }) {
  const { app } = useReader()
  const deliveries = new Map<string, Attempt[]>() // several attempts at one are sent once
  for (const a of attempts) deliveries.set(a.msgId + a.endpointId, [...(deliveries.get(a.msgId + a.endpointId) ?? []), a])
  const endpoints = new Set(attempts.map((a) => a.endpointId)).size
  const [total] = useState(deliveries.size)
  const [done, setDone] = useState(0)
  const { busy, problem, run } = useAction()
  const stopped = useRef(false)
  const stop = () => { stopped.current = true; close() }
  useEffect(() => () => void (stopped.current = true), [])
  const start = () => run(async () => {
    for (const list of deliveries.values()) {
      if (stopped.current) return
      const { msgId, endpointId } = list[0]!
      await send('POST', p`/app/${app}/msg/${msgId}/endpoint/${endpointId}/resend`)
      sent(list)
      setDone((n) => n + 1)
    }
    toast(t.resentChosen(number(total)))
    close()
  })
  return (
    <Dialog title={t.resend} close={stop}>
      <form onSubmit={(e) => { e.preventDefault(); void start() }}>
        <p>{t.resendText(total, endpoints)}</p>
        {(busy || done > 0) && <progress value={done} max={total} aria-label={t.progress} />}
        {(busy || done > 0) && <p>{t.sentOf(number(done), number(total))}</p>}
        <Failure problem={problem} />
        <div class="actions">
          <Button onClick={stop}>{busy || done > 0 ? t.stop : t.cancel}</Button>
          <Button submit kind="main" busy={busy}>{problem ? t.tryAgain : t.resend}</Button>
        </div>
      </form>
    </Dialog>
  )
}
