// The import of event types from an OpenAPI document: what it would do is shown before.

import { useState } from 'preact/hooks'
import { send } from './api'
import { number } from './format'
import { useAction } from './load'
import { go, Link } from './router'
import { t } from './text'
import { Badge, Button, Card, Check, Failure, Field, Form, Mono, Table, TextInput, Title, toast } from './ui'

interface Imported {
  data: { modified: string[]; archived: string[]; to_modify?: { name: string; description: string; new: boolean }[] }
}

export function ImportPage() {
  const [spec, setSpec] = useState('')
  const [replaceAll, setReplaceAll] = useState(false)
  const [plan, setPlan] = useState<Imported['data'] | undefined>()
  const { busy, problem, run } = useAction()
  const request = async (dryRun: boolean) => (await send<Imported>('POST', '/event-type/import/openapi', { specRaw: spec, replaceAll, dryRun })).data
  const change = <T,>(set: (v: T) => void) => (v: T) => { setPlan(undefined); set(v) }
  const choose = async (input: HTMLInputElement) => {
    const file = input.files?.[0]
    input.value = ''
    if (file) change(setSpec)(await file.text())
  }
  const apply = () => run(async () => {
    if (plan === undefined) return setPlan(await request(true))
    const { modified, archived } = await request(false)
    toast(t.importedNow(number(modified.length), number(archived.length)))
    go('/event-types')
  })
  const empty = plan !== undefined && plan.modified.length + plan.archived.length === 0
  return (
    <>
      <p class="crumbs"><Link to="/event-types">{t.eventTypes}</Link> ›</p>
      <Title>{t.importTypes}</Title>
      <p>{t.importText}</p>
      <Form submit={apply}>
        <Card>
          <Field label={t.openAPIFile}>{(props) => <input type="file" accept=".json,.yaml,.yml" onChange={(e) => void choose(e.currentTarget)} {...props} />}</Field>
          <TextInput label={t.openAPIDocument} value={spec} set={change(setSpec)} rows={12} error={problem?.fields.specRaw} required />
          <Check label={t.replaceAll} value={replaceAll} set={change(setReplaceAll)} hint={t.replaceAllHint} />
        </Card>
        <Failure problem={problem} />
        {plan && <Plan of={plan} />}
        <div class="actions">
          <Button submit kind="main" busy={busy} disabled={empty || spec.trim() === ''}>{plan === undefined ? t.showPlan : t.importNow(number(plan.modified.length + plan.archived.length))}</Button>
          <Button onClick={() => go('/event-types')}>{t.cancel}</Button>
        </div>
      </Form>
    </>
  )
}

function Plan({ of }: { of: Imported['data'] }) {
  const rows = [
    ...(of.to_modify ?? []).map((e) => ({ name: e.name, description: e.description, what: e.new ? 'new' : 'changed' } as const)),
    ...of.archived.map((name) => ({ name, description: '', what: 'archived' } as const)),
  ]
  if (rows.length === 0) return <p class="notice" role="status">{t.planEmpty}</p>
  return (
    <Card title={t.planTitle}>
      <Table caption={t.planTitle} rows={rows} id={(r) => r.name} columns={[
        { name: t.name, show: (r) => <Mono>{r.name}</Mono> },
        { name: t.action, show: (r) => <Badge tone={({ new: 'good', changed: 'wait', archived: 'off' } as const)[r.what]}>{t.plan[r.what]}</Badge> },
        { name: t.description, wide: true, show: (r) => <span dir="auto">{r.description}</span> },
      ]} />
    </Card>
  )
}
