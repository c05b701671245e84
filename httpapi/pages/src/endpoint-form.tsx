// The settings of an endpoint, to create or to change it.

import { useEffect, useRef, useState } from 'preact/hooks'
import { get, getTagged, p, patchTagged, Problem, send, type Attempt, type Endpoint, type EventType, type Page, type Tagged } from './api'
import { useReader } from './context'
import { duration } from './format'
import { JSONView } from './json-view'
import { useAction, useLoad } from './load'
import { answer, AttemptState } from './state'
import { t } from './text'
import { Button, Check, Failure, Field, Mono, Select, Table, TextInput, Time } from './ui'

interface Props {
  of?: Tagged<Endpoint> // undefined to create one
  close?: () => void
  done: (e: Endpoint) => void
}

// EndpointForm keeps what the reader has changed while others change the endpoint too.
export function EndpointForm({ of, close, done }: Props) {
  const [{ base, turn }, set] = useState({ base: of, turn: 0 })
  return <Form key={turn} of={base} fresh={of} close={close} done={done} saved={(to) => set({ base: to, turn })} reset={(to) => set({ base: to, turn: turn + 1 })} />
}

interface FormProps {
  of: Tagged<Endpoint> | undefined // the state that the form began with, or that it has saved
  fresh: Tagged<Endpoint> | undefined // the state now, as far as the page knows
  close: (() => void) | undefined
  done: (e: Endpoint) => void
  saved: (to: Tagged<Endpoint>) => void
  reset: (to: Tagged<Endpoint>) => void // starts again with another state
}

function Form({ of, fresh, close, done, saved, reset }: FormProps) {
  const form = useRef<HTMLFormElement>(null)
  const endpoint = of?.data
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
  const [theirs, setTheirs] = useState<Tagged<Endpoint> | undefined>()
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
  const path = p`/app/${app}/endpoint`
  const save = (tag = of?.tag ?? '') => run(async () => {
    const body = settings()
    setTheirs(undefined)
    if (!endpoint) return done(await send<Endpoint>('POST', path, body))
    try {
      const made = await patchTagged<Endpoint>(path + p`/${endpoint.id}`, body, tag)
      saved(made)
      done(made.data)
    } catch (e) {
      if (!(e instanceof Problem && e.status === 412)) throw e
      const now = await getTagged<Endpoint>(path + p`/${endpoint.id}`)
      if (differences(body, now.data).length > 0) return setTheirs(now)
      saved(now) // somebody else has saved the same, or the response to this page was lost
      done(now.data)
    }
  })
  useEffect(() => {
    if (!of || !fresh || fresh.data.updatedAt <= of.data.updatedAt || form.current?.contains(document.activeElement)) return
    if (differences(settings(), of.data).length === 0) reset(fresh)
  }, [fresh?.tag])
  const resolve = (choice: () => unknown) => async () => { // gives the focus to what remains
    const card = form.current?.parentElement
    await choice()
    requestAnimationFrame(() => card?.querySelector<HTMLElement>('[type=submit]')?.focus())
  }
  return (
    <form ref={form} noValidate onSubmit={(e) => { e.preventDefault(); void save().then((ok) => ok || focusWrong(e.target as HTMLFormElement)) }}>
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
      {theirs && <Conflict mine={settings()} theirs={theirs.data} busy={busy} keep={resolve(() => save(theirs.tag))} take={resolve(() => reset(theirs))} />}
      {tested && <div class="notice" role="status"><AttemptState of={tested} /> {answer(tested)} · {duration(tested.responseDurationMs)}{tested.response && <JSONView text={tested.response} />}</div>}
      <div class="actions">
        <Button busy={busy} onClick={test}>{t.testURL}</Button>
        {close && <Button onClick={close}>{t.cancel}</Button>}
        <Button submit kind="main" busy={busy}>{endpoint ? t.save : t.addEndpoint}</Button>
      </div>
    </form>
  )
}

type Settings = Record<string, unknown>

// differences are the fields that have other values in a form than in an endpoint.
function differences(mine: Settings, theirs: Endpoint): string[] {
  const now = theirs as unknown as Settings
  return Object.keys(mine).filter((name) => show(mine[name]) !== show(now[name]))
}

const show = (value: unknown): string => Array.isArray(value) ? value.toSorted().join(', ') : typeof value === 'boolean' ? (value ? t.yes : t.no) : String(value ?? '')

interface ConflictProps {
  mine: Settings
  theirs: Endpoint
  busy: boolean
  keep: () => Promise<void>
  take: () => Promise<void>
}

// Conflict shows what somebody else has saved since the form was filled, and lets the reader choose.
function Conflict({ mine, theirs, busy, keep, take }: ConflictProps) {
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => ref.current?.focus(), [])
  const names: Record<string, string> = {
    url: t.url, description: t.description, eventTypes: t.eventTypes, channels: t.channels, throttleRate: t.rate, ordering: t.ordering,
    signatureStyle: t.signatureStyle, envelope: t.envelope,
  }
  return (
    <div class="notice" ref={ref} tabIndex={-1} role="group" aria-label={t.conflict}>
      <p><strong>{t.conflict}</strong> {t.conflictText} <Time at={theirs.updatedAt} /></p>
      <Table caption={t.conflict} rows={differences(mine, theirs)} id={String} columns={[
        { name: t.setting, show: (name) => names[name] ?? name },
        { name: t.yours, show: (name) => <Mono>{show(mine[name]) || '–'}</Mono> },
        { name: t.theirs, show: (name) => <Mono>{show((theirs as unknown as Settings)[name]) || '–'}</Mono> },
      ]} />
      <div class="actions">
        <Button busy={busy} onClick={() => void take()}>{t.takeTheirs}</Button>
        <Button busy={busy} kind="main" onClick={() => void keep()}>{t.keepMine}</Button>
      </div>
    </div>
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
