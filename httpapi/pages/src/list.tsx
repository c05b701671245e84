// Lists that change while they are read. Rows never move under the pointer, the focus or a
// selection, and stay as they are while they are held.

import type { ComponentChildren, RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { number } from './format'
import { t } from './text'
import { Button, Table, type Column } from './ui'

interface Props<T> {
  caption: string
  columns: Column<T>[]
  rows: T[]
  id: (row: T) => string
  newest: boolean // whether the list begins with the newest row, before which new ones come
  full?: boolean // whether there are more rows than these
  count?: number // of all rows that there were, if rows are only the last of them
  held: boolean
  hold: (held: boolean) => void
  still?: boolean // rows stay for another reason
  children?: ComponentChildren // more buttons
}

// LiveTable shows new rows at once, unless the reader is at one of the old ones.
export function LiveTable<T>({ caption, columns, rows, id, newest, full = false, count, held, hold, still: kept = false, children }: Props<T>) {
  const area = useRef<HTMLDivElement>(null)
  const occupied = useOccupied(area)
  const shown = useRef<T[]>(rows)
  const still = newest && (held || occupied || kept)
  shown.current = still ? merge(shown.current, rows, id) : rows
  const before = useRef(count ?? 0)
  if (!still) before.current = count ?? 0
  const old = new Set(shown.current.map(id))
  const waiting = !still ? 0 : count !== undefined ? count - before.current : rows.filter((r) => !old.has(id(r))).length
  const text = number(waiting) + (full && waiting === rows.length ? '+' : '')
  return (
    <>
      <div class="list-bar">
        {newest && <Button onClick={() => hold(!held)} aria-pressed={held}>{held ? t.goOn(waiting, text) : t.hold}</Button>}
        {children}
        {!held && waiting > 0 && <span class="hint">{t.newRows(text)}</span>}
      </div>
      <div ref={area}><Table caption={caption} columns={columns} rows={shown.current} id={id} /></div>
    </>
  )
}

// merge brings the rows that are shown up to date without moving them.
function merge<T>(shown: T[], rows: T[], id: (row: T) => string): T[] {
  const fresh = new Map(rows.map((r) => [id(r), r]))
  return shown.map((r) => fresh.get(id(r)) ?? r)
}

// useOccupied reports whether the pointer or the focus is in an area, or a selection of text, or
// whether the reader has scrolled into it.
export function useOccupied(area: RefObject<HTMLElement | null>): boolean {
  const [occupied, set] = useState(false)
  useEffect(() => {
    const element = area.current!
    let pointer = false
    const look = () => {
      const selection = getSelection()
      const selected = selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode)
      set(pointer || selected || element.contains(document.activeElement) || element.getBoundingClientRect().top < 0)
    }
    const enter = () => { pointer = true; look() }
    const leave = () => { pointer = false; look() }
    const later = () => requestAnimationFrame(look) // when the focus is at its new place
    const events: [EventTarget, string, () => void][] = [
      [element, 'pointerenter', enter], [element, 'pointerleave', leave], [element, 'focusin', look], [element, 'focusout', later],
      [document, 'selectionchange', look], [document, 'scroll', look],
    ]
    for (const [target, name, f] of events) target.addEventListener(name, f, { passive: true })
    return () => {
      for (const [target, name, f] of events) target.removeEventListener(name, f)
    }
  }, [])
  return occupied
}
