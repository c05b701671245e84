// The settings of an endpoint, to create or to change it.

import { useEffect, useRef, useState } from 'preact/hooks'
import { get, getTagged, p, send, sendTagged, type Attempt, type Endpoint, type EventType, type Page, type Tagged, type Told } from './api'
import { Conflict, differences, saveOver, wordsOf, yesNo, type Fields } from './conflict'
import { useReader } from './context'
import { duration, fromNumberInput } from './format'
import { JSONView } from './json-view'
import { useAction, useLoad } from './load'
import { answer, AttemptState } from './state'
import { t } from './text'
import { Button, Check, Failure, Fault, Field, focusWrong, Form, Select, TextInput } from './ui'

interface Props {
  of?: Tagged<Endpoint> // undefined to create one
  close?: () => void
  done: (e: Endpoint) => void
}

// EndpointForm keeps what the reader has changed while others change the endpoint too.
export function EndpointForm({ of, close, done }: Props) {
  const [{ base, turn }, set] = useState({ base: of, turn: 0 })
  return <Inputs key={turn} of={base} fresh={of} close={close} done={done} saved={(to) => set({ base: to, turn })} reset={(to) => set({ base: to, turn: turn + 1 })} />
}

interface InputsProps {
  of: Tagged<Endpoint> | undefined // the state that the form began with, or that it has saved
  fresh: Tagged<Endpoint> | undefined // the state now, as far as the page knows
  close: (() => void) | undefined
  done: (e: Endpoint) => void
  saved: (to: Tagged<Endpoint>) => void
  reset: (to: Tagged<Endpoint>) => void // starts again with another state
}

function Inputs({ of, fresh, close, done, saved, reset }: InputsProps) {
  const form = useRef<HTMLFormElement>(null)
  const endpoint = of?.data
  const { app } = useReader()
  const [url, setURL] = useState(endpoint?.url ?? 'https://')
  const [description, setDescription] = useState(endpoint?.description ?? '')
  const [types, setTypes] = useState<string[]>(endpoint?.eventTypes ?? [])
  const [channels, setChannels] = useState((endpoint?.channels ?? []).join(', '))
  const [rate, setRate] = useState(String(endpoint?.throttleRate ?? ''))
  const [ordering, setOrdering] = useState<'' | 'endpoint' | 'key'>(endpoint?.ordering ?? '')
  const [style, setStyle] = useState(endpoint?.signatureStyle ?? 'standard')
  const [envelope, setEnvelope] = useState(endpoint?.envelope ?? false)
  const { busy, problem, run } = useAction()
  const wrong = problem?.fields ?? {}
  const [theirs, setTheirs] = useState<Tagged<Endpoint> | undefined>()
  const [tested, setTested] = useState<Attempt | undefined>()
  const settings = () => ({
    url, description,
    eventTypes: types.length > 0 ? types : null,
    channels: words(channels),
    throttleRate: fromNumberInput(rate),
    ordering: ordering || null,
    signatureStyle: style, envelope,
  })
  const test = async () => {
    await run(async () => setTested(await send<Attempt>('POST', p`/app/${app}/msg/test-attempt`, settings())))
    focusWrong(form.current)
  }
  const path = p`/app/${app}/endpoint`
  const save = (began = of) => run(async () => {
    const body = settings()
    setTheirs(undefined)
    if (!began) return done(await send<Endpoint>('POST', path, body))
    const own = path + p`/${began.data.id}`
    const { now, clash } = await saveOver<Endpoint>({
      began, mine: fieldsOf(body), fields: fieldsOf, write: (tag) => sendTagged('PATCH', own, body, tag), read: () => getTagged(own),
    })
    if (clash) return setTheirs(now)
    saved(now)
    done(now.data)
  })
  useEffect(() => {
    if (!of || !fresh || fresh.data.updatedAt <= of.data.updatedAt || form.current?.contains(document.activeElement)) return
    if (differences(fieldsOf(settings()), fieldsOf(of.data)).length === 0) reset(fresh)
  }, [fresh?.tag])
  return (
    <Form area={form} submit={() => save()}>
      <TextInput label={t.url} type="url" value={url} set={setURL} error={wrong.url} hint={t.urlHint} required />
      <TextInput label={t.description} value={description} set={setDescription} error={wrong.description} />
      <EventTypes chosen={types} choose={setTypes} error={wrong.eventTypes} />
      <details>
        <summary>{t.more}</summary>
        <TextInput label={t.channels} value={channels} set={setChannels} error={wrong.channels} hint={t.channelsHint} />
        <TextInput label={t.rate} type="number" value={rate} set={setRate} error={wrong.throttleRate} hint={t.rateHint} />
        <Select label={t.ordering} value={ordering} set={(v) => setOrdering(v as typeof ordering)} error={wrong.ordering} hint={t.orderingHint}
          options={[['', t.orderings.none], ['endpoint', t.orderings.endpoint], ['key', t.orderings.key]]} />
        <Select label={t.signatureStyle} value={style} set={(v) => setStyle(v as typeof style)} error={wrong.signatureStyle} options={styles} />
        <Check label={t.envelope} value={envelope} set={setEnvelope} hint={t.envelopeHint} />
      </details>
      <Failure problem={problem} />
      {theirs && <Conflict mine={fieldsOf(settings())} theirs={fieldsOf(theirs.data)} at={theirs.data.updatedAt} busy={busy} keep={() => save(theirs)} take={() => reset(theirs)} />}
      {tested && <div class="notice" role="status"><AttemptState of={tested} /> {answer(tested)} · {duration(tested.responseDurationMs)}{tested.response && <JSONView text={tested.response} label={t.response} />}</div>}
      <div class="actions">
        <Button busy={busy} onClick={() => void test()}>{t.testURL}</Button>
        {close && <Button onClick={close}>{t.cancel}</Button>}
        <Button submit kind="main" busy={busy}>{endpoint ? t.save : t.addEndpoint}</Button>
      </div>
    </Form>
  )
}

// fieldsOf are the settings that the form has, in words.
const fieldsOf = (e: Pick<Endpoint, 'url' | 'description' | 'eventTypes' | 'channels' | 'throttleRate' | 'ordering' | 'signatureStyle' | 'envelope'>): Fields => ({
  [t.url]: e.url, [t.description]: e.description, [t.eventTypes]: wordsOf(e.eventTypes), [t.channels]: wordsOf(e.channels),
  [t.rate]: String(e.throttleRate ?? ''), [t.ordering]: t.orderings[e.ordering ?? 'none'], [t.signatureStyle]: styles.find(([name]) => name === (e.signatureStyle ?? 'standard'))![1],
  [t.envelope]: yesNo(e.envelope),
})

const styles: [NonNullable<Endpoint['signatureStyle']>, string][] = [['standard', 'Standard Webhooks'], ['github', 'GitHub'], ['stripe', 'Stripe'], ['hex', 'Hex']]

export function words(text: string): string[] | null {
  const list = text.split(',').map((w) => w.trim()).filter(Boolean)
  return list.length > 0 ? list : null
}

// EventTypes chooses some of the catalogue; none chosen means all.
function EventTypes({ chosen, choose, error }: { chosen: string[]; choose: (names: string[]) => void; error: Told | undefined }) {
  const list = useLoad((signal) => get<Page<EventType>>('/event-type', { limit: 250 }, signal), [])
  const [filter, setFilter] = useState('')
  const known = list.data?.data.map((e) => e.name) ?? []
  const names = [...new Set([...chosen, ...known])].filter((n) => n.includes(filter)).sort()
  const toggle = (name: string) => choose(chosen.includes(name) ? chosen.filter((n) => n !== name) : [...chosen, name])
  return (
    <fieldset aria-describedby={error ? 'types-error' : undefined}>
      <legend>{t.eventTypes}</legend>
      <p class="hint">{chosen.length === 0 ? t.allEventTypes : t.chosen(chosen.length)}</p>
      {known.length > 10 && (
        <Field label={t.filter}>
          {(props) => <input type="search" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} {...props} />}
        </Field>
      )}
      <div class="choices">
        {names.map((name) => <Check key={name} label={name} value={chosen.includes(name)} set={() => toggle(name)} />)}
      </div>
      {error && <Fault of={error} id="types-error" />}
    </fieldset>
  )
}
