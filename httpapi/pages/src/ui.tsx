// The parts that all pages are made of.

import { Component, type ButtonHTMLAttributes, type ComponentChildren, type RefObject } from 'preact'
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Problem, Told } from './api'
import { focusTitle } from './focus'
import { ago, date, utc, when } from './format'
import { visible } from './json'
import type { Loaded } from './load'
import { useNow } from './load'
import { setQuery } from './router'
import { language, t } from './text'
import { brand } from './theme'

// Title is the heading of a page. It takes the focus when the page appears.
export function Title({ children, actions }: { children: ComponentChildren; actions?: ComponentChildren }) {
  const ref = useRef<HTMLHeadingElement>(null)
  useEffect(() => void (document.title = (ref.current?.textContent ?? '') + ' · ' + brand.name))
  useEffect(focusTitle, [])
  return (
    <div class="title">
      <h1 ref={ref} tabIndex={-1}>{children}</h1>
      {actions && <div class="actions">{actions}</div>}
    </div>
  )
}

interface ButtonProps extends Omit<ButtonHTMLAttributes, 'children' | 'type'> {
  kind?: 'main' | 'danger' | 'plain'
  submit?: boolean
  busy?: boolean
  children: ComponentChildren
}

// Button that is busy keeps the focus, which a disabled one would lose; actions run once at a time.
export function Button({ kind = 'plain', submit = false, busy = false, children, ...rest }: ButtonProps) {
  return (
    <button type={submit ? 'submit' : 'button'} class={'button ' + kind} aria-disabled={busy || undefined} aria-busy={busy} {...rest}>
      {children}
    </button>
  )
}

// Time shows a time in the zone of the reader; UTC is a hover away.
export function Time({ at, full = false }: { at: string | null | undefined; full?: boolean }) {
  if (!at) return <span class="none">–</span>
  return <time dateTime={at} title={utc(at)}>{full ? date(at) : when(at)}</time>
}

// Ago shows how long ago, or how soon, a time is.
export function Ago({ at }: { at: string | null | undefined }) {
  useNow(10) // draws it again
  if (!at) return <span>–</span>
  return <time dateTime={at} title={date(at) + ' · ' + utc(at)}>{ago(at)}</time>
}

export type Tone = 'good' | 'bad' | 'wait' | 'off'

// Badge shows a state by its word and a shape: colour is never alone.
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={'badge ' + tone}>{children}</span>
}

export function Card({ title, children, actions }: { title?: string; children: ComponentChildren; actions?: ComponentChildren }) {
  const id = useId()
  return (
    <section class="card" aria-labelledby={title ? id : undefined}>
      {title && (
        <div class="title">
          <h2 id={id}>{title}</h2>
          {actions && <div class="actions">{actions}</div>}
        </div>
      )}
      {children}
    </section>
  )
}

// Facts is a list of names and values.
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

// Reason says what went wrong: first in the language of the page, and then as the server does.
export function Reason({ of }: { of: Told }) {
  return <>{inWords(of)}{of.message && <span class="told" lang="en">{of.message}</span>}</>
}

// inWords says in the language of the page what went wrong, unless what the server says is in the
// same language and says more.
function inWords({ status, code, message, retryAfter = 0 }: Told): string {
  if (status === 429) return t.tooMany(retryAfter)
  return t.refused[code] ?? t.refused[status] ?? (message && language === 'en' ? '' : t.failed(status))
}

// Failure says what went wrong, unless that is at a field of the form that it is in.
export function Failure({ problem, retry }: { problem: Problem | undefined; retry?: () => void }) {
  if (!problem) return null
  return (
    <div class={problem.status === 422 || problem.conflict ? 'problem of-field' : 'problem'} role="alert">
      <p><Reason of={problem} /></p>
      {retry && <Button onClick={retry}>{t.tryAgain}</Button>}
    </div>
  )
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>
}

interface ContentProps<T> {
  of: Loaded<T>
  whole?: boolean // the page has nothing else, so that it needs a title when there is no content
  children: (data: T) => ComponentChildren
}

// Content shows what was read; before that, that it is being read, or why it can't be.
export function Content<T>({ of, whole = false, children }: ContentProps<T>) {
  if (of.problem?.status === 404 && whole) return <NotFound gone={of.data !== undefined} />
  if (of.data === undefined) {
    if (of.problem) return <>{whole && <Title>{t.failedTitle}</Title>}<Failure problem={of.problem} retry={of.reload} /></>
    return <div class="loading" role="status"><span class="hidden">{t.loading}</span></div>
  }
  return (
    <>
      {of.problem && <Failure problem={of.problem} retry={of.reload} />}
      <div class={of.problem ? 'stale' : undefined}>{children(of.data)}</div>
    </>
  )
}

export function NotFound({ gone = false }: { gone?: boolean }) {
  return (
    <>
      <Title>{gone ? t.gone : t.notFound}</Title>
      <p>{gone ? t.goneText : t.notFoundText}</p>
    </>
  )
}

export interface Column<T> {
  name: string
  show: (row: T) => ComponentChildren
  wide?: boolean // takes the room that is left
}

interface TableProps<T> {
  caption: string
  columns: Column<T>[]
  rows: T[]
  id: (row: T) => string
}

// Table is a table on wide screens, and a list of cards on narrow ones. Rows of a long one that are
// out of sight are not laid out. The roles stay when rows are drawn as grids or blocks.
export function Table<T>({ caption, columns, rows, id }: TableProps<T>) {
  const area = useRef<HTMLDivElement>(null)
  const scrolls = useScrolls(area)
  const head = useRef<HTMLTableRowElement>(null)
  const { drawn, columns: grid } = useGradually(rows.length, head)
  return (
    <div ref={area} class={grid ? 'table long' : 'table'} {...scrolls && { tabIndex: 0, role: 'group', 'aria-label': caption }}>
      <table role="table" aria-busy={drawn < rows.length || undefined} style={{ '--columns': grid }}>
        <caption class="hidden">{caption}</caption>
        <thead role="rowgroup">
          <tr role="row" ref={head}>{columns.map((c) => <th role="columnheader" scope="col" class={c.wide ? 'wide' : undefined}>{c.name}</th>)}</tr>
        </thead>
        <tbody role="rowgroup">
          {rows.filter((_, i) => i < drawn || i === rows.length - 1).map((row) => <Row key={id(row)} row={row} columns={columns} />)}
        </tbody>
      </table>
    </div>
  )
}

// useScrolls reports whether an area is too narrow for its content. Then it must take the focus, or
// nobody could scroll it with the keyboard.
function useScrolls(area: RefObject<HTMLElement | null>): boolean {
  const [scrolls, set] = useState(false)
  useEffect(() => {
    const { current } = area
    const observer = new ResizeObserver(() => set(current!.scrollWidth > current!.clientWidth))
    for (const element of [current!, ...current!.children]) observer.observe(element)
    return () => observer.disconnect()
  }, [])
  return scrolls
}

const few = 6 // rows that are drawn at once

// useGradually returns how many of so many rows to draw by now, and the columns of a grid of them.
// More follow after each frame, the more the faster the last ones were, so that a long list does
// not keep the page from responding. Columns stay as wide as the first rows made them, and the
// last, which is often the oldest and has the longest times.
function useGradually(count: number, head: RefObject<HTMLTableRowElement | null>): { drawn: number; columns: string } {
  const [state, set] = useState({ drawn: few, columns: '', step: few, began: 0 })
  useEffect(() => {
    let { drawn, columns, step, began } = state
    if (drawn >= count) return
    const now = performance.now()
    if (!columns) columns = Array.from(head.current!.cells, track).join(' ')
    else {
      if (began > 0) step = Math.max(few, Math.min(64, now - began < 25 ? 2 * step : now - began > 40 ? step / 2 : step))
      drawn += step
      began = now
    }
    const timer = setTimeout(() => set({ drawn, columns, step, began }))
    return () => clearTimeout(timer)
  }, [state, count])
  return state
}

// track is a column of a grid that is about as wide as the one of the table was. Where rows were
// cards, there was none, but the window may become wider.
function track(cell: HTMLElement): string {
  const { width } = cell.getBoundingClientRect()
  if (width === 0) return cell.className ? 'minmax(0,3fr)' : 'minmax(0,1fr)'
  return `minmax(${Math.min(width, 192)}px,${cell.className ? Math.max(width, 400) : width}fr)`
}

interface RowProps<T> {
  row: T
  columns: Column<T>[]
}

// Row is drawn again only when it has changed, or the columns are others.
class Row<T> extends Component<RowProps<T>> {
  override shouldComponentUpdate(next: RowProps<T>): boolean {
    return next.row !== this.props.row || next.columns !== this.props.columns
  }

  override render({ row, columns }: RowProps<T>) {
    return <tr role="row">{columns.map((c) => <td role="cell" data-label={c.name} class={c.wide ? 'wide' : undefined}>{c.show(row)}</td>)}</tr>
  }
}

// Pager leads to the next page of a list, and back to the first. The place is kept in the address.
export function Pager({ iterator, done, first }: { iterator: string | null; done: boolean; first: boolean }) {
  if (first && done) return null
  return (
    <nav class="pager" aria-label={t.pages}>
      {!first && <Button onClick={() => setQuery({ iterator: '' }, false)}>{t.firstPage}</Button>}
      {!done && iterator && <Button onClick={() => setQuery({ iterator }, false)}>{t.nextPage}</Button>}
    </nav>
  )
}

// Fault says what is wrong with an input.
export function Fault({ of, id }: { of: string | Told; id: string }) {
  return <p class="error" id={id}>{typeof of === 'string' ? of : <Reason of={of} />}</p>
}

interface FieldProps {
  label: string
  hint?: ComponentChildren
  error?: string | Told | undefined
  children: (props: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean }) => ComponentChildren
}

// Field labels an input and describes it by its hint and what is wrong with it.
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId()
  const described = [hint ? id + 'h' : '', error ? id + 'e' : ''].filter(Boolean).join(' ')
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': Boolean(error) })}
      {hint && <p class="hint" id={id + 'h'}>{hint}</p>}
      {error && <Fault of={error} id={id + 'e'} />}
    </div>
  )
}

interface TextInputProps {
  label: string
  value: string
  set: (value: string) => void
  hint?: ComponentChildren
  error?: string | Told | undefined
  type?: 'text' | 'url' | 'number' | 'search' | 'password' | 'datetime-local'
  required?: boolean
  rows?: number // more than one line
  placeholder?: string
}

export function TextInput({ label, value, set, hint, error, type = 'text', required = false, rows = 0, placeholder }: TextInputProps) {
  const change = (e: Event) => set((e.currentTarget as HTMLInputElement).value)
  return (
    <Field label={label} hint={hint} error={error}>
      {(props) => rows > 0
        ? <textarea rows={rows} value={value} onInput={change} required={required} spellcheck={false} {...props} />
        : <input type={type === 'number' ? 'text' : type as 'text'} inputMode={type === 'number' ? 'numeric' : undefined} value={value} onInput={change} required={required} placeholder={placeholder} autocomplete="off" spellcheck={false} {...props} />}
    </Field>
  )
}

interface SelectProps {
  label: string
  value: string
  set: (value: string) => void
  options: [value: string, text: string][]
  hint?: ComponentChildren
  error?: string | Told | undefined
}

export function Select({ label, value, set, options, hint, error }: SelectProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(props) => (
        <select value={value} onChange={(e) => set(e.currentTarget.value)} {...props}>
          {options.map(([v, text]) => <option value={v}>{text}</option>)}
        </select>
      )}
    </Field>
  )
}

export function Check({ label, value, set, hint }: { label: string; value: boolean; set: (value: boolean) => void; hint?: string }) {
  const id = useId()
  return (
    <div class="check">
      <input type="checkbox" id={id} checked={value} onChange={(e) => set(e.currentTarget.checked)} aria-describedby={hint ? id + 'h' : undefined} />
      <label for={id}>{label}</label>
      {hint && <p class="hint" id={id + 'h'}>{hint}</p>}
    </div>
  )
}

interface FormProps {
  kind?: string // its class
  area?: RefObject<HTMLFormElement | null>
  submit: () => unknown
  children: ComponentChildren
}

// Form leads to the first field that is wrong after it was submitted. The server says what is
// wrong, so that all forms say it in the same way.
export function Form({ kind, area, submit, children }: FormProps) {
  const own = useRef<HTMLFormElement>(null)
  const ref = area ?? own
  const run = async (e: Event) => {
    e.preventDefault()
    await submit()
    focusWrong(ref.current)
  }
  return <form ref={ref} class={kind} noValidate onSubmit={(e) => void run(e)}>{children}</form>
}

// focusWrong leads to the first field of a form that is wrong, once it is marked.
export function focusWrong(form: HTMLFormElement | null): void {
  requestAnimationFrame(() => {
    const field = form?.querySelector<HTMLElement>('[aria-invalid="true"]')
    field?.closest('details')?.setAttribute('open', '')
    field?.focus()
  })
}

// Dialog is modal. It closes by Escape, and gives the focus back.
export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useLayoutEffect(() => {
    const dialog = ref.current!
    dialog.showModal()
    return () => dialog.close() // which gives the focus back
  }, [])
  return (
    <dialog ref={ref} aria-labelledby={id} onCancel={(e) => { e.preventDefault(); close() }}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  )
}

interface ConfirmProps {
  title: string
  children: ComponentChildren
  action: string
  danger?: boolean
  run: () => Promise<void>
  close: () => void
  busy: boolean
  problem: Problem | undefined
}

// Confirm asks before something happens, and says what will.
export function Confirm({ title, children, action, danger = false, run, close, busy, problem }: ConfirmProps) {
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={(e) => { e.preventDefault(); void run() }}>
        {children}
        <Failure problem={problem} />
        <div class="actions">
          <Button onClick={close}>{t.cancel}</Button>
          <Button submit kind={danger ? 'danger' : 'main'} busy={busy}>{action}</Button>
        </div>
      </form>
    </Dialog>
  )
}

// Copy puts a text on the clipboard where the browser allows it; else the text is selected.
export function Copy({ text, label = t.copy }: { text: string; label?: string }) {
  const [copied, set] = useState(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      const area = document.createElement('textarea') // on plain HTTP, and in frames
      area.value = text
      document.body.append(area)
      area.select()
      document.execCommand('copy')
      area.remove()
    }
    set(true)
    setTimeout(() => set(false), 2000)
  }
  return <Button onClick={() => void copy()}><span role="status">{copied ? t.copied : label}</span></Button>
}

// Mono shows an ID, a URL or another text for machines; long ones wrap.
export function Mono({ children }: { children: ComponentChildren }) {
  const text = typeof children === 'string' ? visible(children) : ''
  return <code class="mono" dir="auto" title={text.length > 30 ? text : undefined}>{text || children}</code>
}

let tell: (text: string) => void = () => undefined

// toast says for some seconds that something was done.
export function toast(text: string): void {
  tell(text)
}

export function Toasts() {
  const [text, set] = useState('')
  useEffect(() => {
    let timer = 0
    tell = (words) => {
      set(words)
      clearTimeout(timer)
      timer = window.setTimeout(() => set(''), 6000)
    }
  }, [])
  return <div class="toasts" role="status">{text && <p>{text}</p>}</div>
}
