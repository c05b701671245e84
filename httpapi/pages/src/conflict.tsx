// What several people change at the same time: nobody's changes are lost unseen.

import { useEffect, useRef } from 'preact/hooks'
import { Problem, type Tagged } from './api'
import { t } from './text'
import { Button, Mono, Table, Time } from './ui'

// Fields are the values of a form in words, by the label of each.
export type Fields = Record<string, string>

interface Saving<T> {
  began: Tagged<T> // what the form shows the changes of
  mine: Fields
  fields: (of: T) => Fields
  write: (tag: string) => Promise<Tagged<T>>
  read: () => Promise<Tagged<T>>
}

// saveOver saves a form. If somebody else has changed a field of it to another value since, nothing
// is saved, clash is true, and now is what they have saved.
export async function saveOver<T>(form: Saving<T>): Promise<{ now: Tagged<T>; clash: boolean }> {
  try {
    return { now: await form.write(form.began.tag), clash: false }
  } catch (e) {
    if (!(e instanceof Problem && e.status === 412)) throw e
    const now = await form.read()
    const theirs = form.fields(now.data)
    if (differences(form.mine, theirs).length === 0) return { now, clash: false } // or the response to this page was lost
    if (differences(form.fields(form.began.data), theirs).length > 0) return { now, clash: true }
    return saveOver({ ...form, began: now }) // what they have changed is not in the form
  }
}

// differences are the labels of fields that have other values.
export function differences(mine: Fields, theirs: Fields): string[] {
  return [...new Set([...Object.keys(mine), ...Object.keys(theirs)])].filter((name) => mine[name] !== theirs[name])
}

// yesNo and wordsOf show values in Fields.
export const yesNo = (value: boolean): string => (value ? t.yes : t.no)
export const wordsOf = (list: string[] | null | undefined): string => (list ?? []).toSorted().join(', ')

interface ConflictProps {
  mine: Fields
  theirs: Fields
  at: string | null // when theirs were saved
  busy: boolean
  keep: () => unknown
  take: () => unknown
}

// Conflict shows what somebody else has saved since the form was filled, and lets the reader choose.
export function Conflict({ mine, theirs, at, busy, keep, take }: ConflictProps) {
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => ref.current?.focus(), [])
  const resolve = (choice: () => unknown) => async () => { // gives the focus to what remains
    const place = ref.current?.closest('form')?.parentElement
    await choice()
    requestAnimationFrame(() => place?.querySelector<HTMLElement>('[type=submit]')?.focus())
  }
  const show = (value = '') => <Mono>{value.length > 500 ? value.slice(0, 500) + '…' : value || '–'}</Mono>
  return (
    <div class="notice" ref={ref} tabIndex={-1} role="group" aria-label={t.conflict}>
      <p><strong>{t.conflict}</strong> {t.conflictText} <Time at={at} /></p>
      <Table caption={t.conflict} rows={differences(mine, theirs)} id={String} columns={[
        { name: t.setting, show: (name) => name },
        { name: t.yours, show: (name) => show(mine[name]) },
        { name: t.theirs, show: (name) => show(theirs[name]) },
      ]} />
      <div class="actions">
        <Button busy={busy} onClick={() => void resolve(take)()}>{t.takeTheirs}</Button>
        <Button busy={busy} kind="main" onClick={() => void resolve(keep)()}>{t.keepMine}</Button>
      </div>
    </div>
  )
}
