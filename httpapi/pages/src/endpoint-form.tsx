// The settings of an endpoint, to create or to change it.

import { useState } from 'preact/hooks'
import { get, p, send, type Attempt, type Endpoint, type EventType, type Page } from './api'
import { useReader } from './context'
import { duration } from './format'
import { JSONView } from './json-view'
import { useAction, useLoad } from './load'
import { answer, AttemptState } from './state'
import { t } from './text'
import { Button, Check, Failure, Field, Select, TextInput } from './ui'

interface Props {
  endpoint?: Endpoint // undefined to create one
  close?: () => void
  done: (e: Endpoint) => void
}

export function EndpointForm({ endpoint, close, done }: Props) {
  const { app } = useReader()
  const [url, setURL] = useState(endpoint?.url ?? 'https://')
  const [description, setDescription] = useState(endpoint?.description ?? '')
  const [types, setTypes] = useState<string[]>(endpoint?.eventTypes ?? [])
  const [channels, setChannels] = useState((endpoint?.channels ?? []).join(', '))
  const [rate, setRate] = useState(String(endpoint?.throttleRate ?? ''))
  const [ordering, setOrdering] = useState<string>(endpoint?.ordering ?? '')
  const [style, setStyle] = useState<string>(endpoint?.signatureStyle ?? 'standard')
  const [envelope, setEnvelope] = useState(endpoint?.envelope ?? false)
  const { busy, problem, run } = useAction()
  const wrong = problem?.fields ?? {}
  const [tested, setTested] = useState<Attempt | undefined>()
  const settings = () => ({
    url, description,
    eventTypes: types.length > 0 ? types : null,
    channels: words(channels),
    throttleRate: rate.trim() === '' ? null : Number(rate),
    ordering: ordering || null,
    signatureStyle: style, envelope,
  })
  const test = () => void run(async () => setTested(await send<Attempt>('POST', p`/app/${app}/msg/test-attempt`, settings())))
  const save = () => run(async () => {
    const body = settings()
    const path = p`/app/${app}/endpoint`
    done(await (endpoint ? send<Endpoint>('PATCH', path + p`/${endpoint.id}`, body) : send<Endpoint>('POST', path, body)))
  })
  return (
    <form noValidate onSubmit={(e) => { e.preventDefault(); void save().then((ok) => ok || focusWrong(e.target as HTMLFormElement)) }}>
      <TextInput label={t.url} type="url" value={url} set={setURL} error={wrong.url} hint={t.urlHint} required />
      <TextInput label={t.description} value={description} set={setDescription} error={wrong.description} />
      <EventTypes chosen={types} choose={setTypes} error={wrong.eventTypes} />
      <details>
        <summary>{t.more}</summary>
        <TextInput label={t.channels} value={channels} set={setChannels} error={wrong.channels} hint={t.channelsHint} />
        <TextInput label={t.rate} type="number" value={rate} set={setRate} error={wrong.throttleRate} hint={t.rateHint} />
        <Select label={t.ordering} value={ordering} set={setOrdering} error={wrong.ordering} hint={t.orderingHint}
          options={[['', t.orderings.none], ['endpoint', t.orderings.endpoint], ['key', t.orderings.key]]} />
        <Select label={t.signatureStyle} value={style} set={setStyle} error={wrong.signatureStyle}
          options={[['standard', 'Standard Webhooks'], ['github', 'GitHub'], ['stripe', 'Stripe'], ['hex', 'Hex']]} />
        <Check label={t.envelope} value={envelope} set={setEnvelope} hint={t.envelopeHint} />
      </details>
      <Failure problem={problem} />
      {tested && <div class="notice" role="status"><AttemptState of={tested} /> {answer(tested)} · {duration(tested.responseDurationMs)}{tested.response && <JSONView text={tested.response} />}</div>}
      <div class="actions">
        <Button busy={busy} onClick={test}>{t.testURL}</Button>
        {close && <Button onClick={close}>{t.cancel}</Button>}
        <Button submit kind="main" busy={busy}>{endpoint ? t.save : t.addEndpoint}</Button>
      </div>
    </form>
  )
}

// focusWrong leads to the first field that is wrong, once it is marked.
function focusWrong(form: HTMLFormElement): void {
  requestAnimationFrame(() => {
    const field = form.querySelector<HTMLElement>('[aria-invalid="true"]')
    field?.closest('details')?.setAttribute('open', '')
    field?.focus()
  })
}

export function words(text: string): string[] | null {
  const list = text.split(',').map((w) => w.trim()).filter(Boolean)
  return list.length > 0 ? list : null
}

// EventTypes chooses some of the catalogue; none chosen means all.
function EventTypes({ chosen, choose, error }: { chosen: string[]; choose: (names: string[]) => void; error: string | undefined }) {
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
      {error && <p class="error" id="types-error">{error}</p>}
    </fieldset>
  )
}
