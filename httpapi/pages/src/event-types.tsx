// Event types as operators see them: created, edited, archived and deleted.

import type { ComponentChildren } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { getTaggedText, p, send, sendTaggedText, type EventType, type Problem, type Tagged } from './api'
import { Catalogue, EventTypePage } from './catalogue'
import { Conflict, saveOver, wordsOf, yesNo, type Fields } from './conflict'
import { useReader } from './context'
import { members, pretty, member } from './json'
import { useAction, useLoad } from './load'
import { go, Link } from './router'
import { t } from './text'
import { Button, Card, Check, Confirm, Content, Failure, Form, TextInput, Title, toast } from './ui'

export function EventTypes() {
  const admin = useReader().may('ManageEndpoint')
  return (
    <Catalogue archived actions={admin && (
      <>
        <Button onClick={() => go('/event-types/-/import')}>{t.importTypes}</Button>
        <Button kind="main" onClick={() => go('/event-types/-/new')}>{t.addEventType}</Button>
      </>
    )} />
  )
}

export function EventTypeOf({ name }: { name: string }) {
  const admin = useReader().may('ManageEndpoint')
  return <EventTypePage name={name} actions={(of, reload) => admin && <Actions of={of} reload={reload} />} />
}

function Actions({ of, reload }: { of: EventType; reload: () => void }) {
  const [asking, ask] = useState<'archive' | 'delete' | undefined>()
  const { busy, problem, run } = useAction()
  const path = p`/event-type/${of.name}`
  const restore = () => void run(async () => {
    await send('PATCH', path, { archived: false })
    reload()
  })
  const remove = async () => {
    if (!(await run(() => send('DELETE', path, undefined, { expunge: asking === 'delete' })))) return
    ask(undefined)
    toast(asking === 'delete' ? t.deleted : t.archived)
    if (asking === 'delete') go('/event-types')
    else reload()
  }
  return (
    <>
      <Button onClick={() => go(p`/event-types/${of.name}/edit`)}>{t.edit}</Button>
      {of.archived ? <Button busy={busy} onClick={restore}>{t.restore}</Button> : <Button onClick={() => ask('archive')}>{t.archive}</Button>}
      <Button kind="danger" onClick={() => ask('delete')}>{t.deleteEventType}</Button>
      {asking === undefined && <Failure problem={problem} />}
      {asking && (
        <Confirm title={asking === 'delete' ? t.deleteEventType : t.archive} action={asking === 'delete' ? t.deleteEventType : t.archive} danger
          run={remove} close={() => ask(undefined)} busy={busy} problem={problem}>
          <p><b>{of.name}</b></p>
          <p>{asking === 'delete' ? t.deleteEventTypeText : t.archiveText}</p>
        </Confirm>
      )}
    </>
  )
}

export function NewEventType() {
  return <Page title={t.addEventType}><EventTypeForm schemas={[['1', template]]} /></Page>
}

const template = `{
  "type": "object",
  "properties": {
    "id": {"type": "string", "description": ""}
  },
  "required": ["id"],
  "examples": [{"id": "1"}]
}`

export function EditEventType({ name }: { name: string }) {
  const type = useLoad((signal) => getTaggedText(p`/event-type/${name}`, signal), [name])
  return <Page title={name}><Content of={type}>{(text) => <Edited of={text} />}</Content></Page>
}

// Edited begins again with another state when the reader discards changes.
function Edited({ of }: { of: Tagged<string> }) {
  const [began, begin] = useState(of)
  return <EventTypeForm key={began.tag} of={began} schemas={schemasOf(began.data)} discard={begin} />
}

function schemasOf(text: string): Versions {
  const schemas = member(text, 'schemas')!
  return schemas === 'null' ? [] : members(schemas).map(([version, schema]) => [version, pretty(schema)])
}

type Described = Pick<EventType, 'description' | 'groupName' | 'featureFlags' | 'deprecated'>

const inWords = (e: Described, schemas: Versions): Fields => ({
  [t.description]: e.description, [t.group]: e.groupName ?? '', [t.flags]: wordsOf(e.featureFlags), [t.deprecated]: yesNo(e.deprecated),
  ...Object.fromEntries(schemas.map(([version, text]) => [t.schema(version), pretty(text)])),
})

const fieldsOf = (text: string): Fields => inWords(JSON.parse(text) as EventType, schemasOf(text))

function Page({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <>
      <p class="crumbs"><Link to="/event-types">{t.eventTypes}</Link> ›</p>
      <Title>{title}</Title>
      {children}
    </>
  )
}

type Versions = [version: string, schema: string][]

// EventTypeForm sends schemas as they were typed: parsing would round large numbers.
function EventTypeForm({ of: began, schemas: before, discard }: { of?: Tagged<string>; schemas: Versions; discard?: (to: Tagged<string>) => void }) {
  const of = useMemo(() => began && JSON.parse(began.data) as EventType, [began])
  const [name, setName] = useState(of?.name ?? '')
  const [description, setDescription] = useState(of?.description ?? '')
  const [group, setGroup] = useState(of?.groupName ?? '')
  const [flags, setFlags] = useState(of?.featureFlags?.join(', ') ?? '')
  const [deprecated, setDeprecated] = useState(of?.deprecated ?? false)
  const [schemas, setSchemas] = useState(before)
  const { busy, problem, run } = useAction()
  const wrong = schemas.map(([version, text], i) => schemas.findIndex(([v]) => v === version) < i ? t.versionTwice : wrongWith(text))
  const [theirs, setTheirs] = useState<Tagged<string> | undefined>()
  const rest = () => ({ description, groupName: group || null, deprecated, featureFlags: flags.trim() === '' ? null : flags.split(',').map((f) => f.trim()).filter(Boolean) })
  const save = (from = began) => run(async () => {
    setTheirs(undefined)
    const texts = schemas.map(([version, text]) => JSON.stringify(version) + ':' + text)
    const body = JSON.stringify(of ? rest() : { name, ...rest() }).slice(0, -1) + ',"schemas":' + (texts.length > 0 ? '{' + texts.join(',') + '}' : 'null') + '}'
    if (from) {
      const path = p`/event-type/${name}`
      const { now, clash } = await saveOver({
        began: from, mine: inWords(rest(), schemas), fields: fieldsOf, write: (tag) => sendTaggedText('PATCH', path, body, tag), read: () => getTaggedText(path),
      })
      if (clash) return setTheirs(now)
    } else await send('POST', '/event-type', body)
    toast(t.saved)
    go(p`/event-types/${name}`)
  })
  return (
    <Form submit={() => !wrong.some(Boolean) && save()}>
      <Card>
        {!of && <TextInput label={t.name} value={name} set={setName} hint={t.eventTypeHint} error={problem?.fields.name ?? problem?.conflict} required />}
        <TextInput label={t.description} value={description} set={setDescription} error={problem?.fields.description} rows={2} />
        <TextInput label={t.group} value={group} set={setGroup} hint={t.groupHint} error={problem?.fields.groupName} />
        <TextInput label={t.flags} value={flags} set={setFlags} hint={t.flagsHint} error={problem?.fields.featureFlags} />
        <Check label={t.deprecated} value={deprecated} set={setDeprecated} hint={t.deprecatedHint} />
      </Card>
      <Schemas of={schemas} set={setSchemas} wrong={wrong} problem={problem} />
      <Failure problem={problem} />
      {theirs && (
        <Conflict mine={inWords(rest(), schemas)} theirs={fieldsOf(theirs.data)} at={(JSON.parse(theirs.data) as EventType).updatedAt} busy={busy} keep={() => save(theirs)} take={() => discard?.(theirs)} />
      )}
      <div class="actions">
        <Button submit kind="main" busy={busy} disabled={wrong.some(Boolean)}>{of ? t.save : t.addEventType}</Button>
        <Button onClick={() => go(of ? p`/event-types/${of.name}` : '/event-types')}>{t.cancel}</Button>
      </div>
    </Form>
  )
}

interface SchemasProps {
  of: Versions
  set: (of: Versions) => void
  wrong: (string | undefined)[]
  problem: Problem | undefined
}

function Schemas({ of, set, wrong, problem }: SchemasProps) {
  const replace = (i: number, version: string, text: string) => set(of.with(i, [version, text]))
  const next = () => String(Math.max(0, ...of.map(([v]) => Number(v) || 0)) + 1)
  return (
    <>
      {of.map(([version, text], i) => (
        <Card key={i} title={t.schema(version)} actions={<Button onClick={() => set(of.toSpliced(i, 1))} aria-label={t.removeNamed(t.schema(version))}>{t.remove}</Button>}>
          <TextInput label={t.schemaVersion} value={version} set={(v) => replace(i, v, text)} />
          <TextInput label={t.schema(version)} value={text} set={(v) => replace(i, version, v)} rows={14} hint={t.schemaHint}
            error={wrong[i] ?? problem?.fields['schemas/' + version] ?? (i === 0 && !of.some(([v]) => problem?.fields['schemas/' + v]) ? problem?.fields.schemas : undefined)} />
        </Card>
      ))}
      <p><Button onClick={() => set([...of, [next(), of.at(-1)?.[1] ?? template]])}>{t.addSchema}</Button></p>
    </>
  )
}

function wrongWith(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : t.notAnObject
  } catch (e) {
    return t.badJSON((e as Error).message)
  }
}
