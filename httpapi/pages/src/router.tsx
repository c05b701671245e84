// Paths of the pages, below the path of their door.

import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useState } from 'preact/hooks'
import { focusNewTitle } from './focus'

let base = ''
const listeners = new Set<() => void>()

// startRouter names the door: all paths are below it.
export function startRouter(door: string): void {
  base = door
  addEventListener('popstate', changed)
}

function changed(): void {
  for (const f of listeners) f()
}

// go leads to another page; replace is for changes that the back button should skip.
export function go(path: string, replace = false): void {
  if (replace) history.replaceState(null, '', base + path)
  else history.pushState(null, '', base + path)
  changed()
}

export interface Place {
  path: string // below the door
  query: URLSearchParams
}

function here(): Place {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : ''
  return { path: path.replace(/\/+$/, '') || '/', query: new URLSearchParams(location.search) }
}

// usePlace returns where the reader is. A new page begins at its top, with its title focused. It
// listens from when the page is drawn: on a slow machine the reader may be gone before effects run.
export function usePlace(): Place {
  const [, draw] = useState({})
  useLayoutEffect(() => {
    let last = here().path
    const moved = () => {
      const { path } = here()
      draw({})
      if (path !== last) {
        last = path
        scrollTo(0, 0)
        focusNewTitle()
      }
    }
    listeners.add(moved)
    return () => void listeners.delete(moved)
  }, [])
  return here()
}

// setQuery changes parameters of the address; empty ones are removed.
export function setQuery(changes: Record<string, string>, replace = true): void {
  const { path, query } = here()
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name)
    else query.set(name, value)
  }
  const text = query.toString()
  go((path === '/' ? '' : path) + (text && '?' + text), replace)
}

// Pages are those of some patterns of paths, each with a parameter at most.
export type Pages = [pattern: string, page: (param: string) => ComponentChildren][]

// pageAt returns the page of a path, or nothing.
export function pageAt(pages: Pages, path: string): ComponentChildren | undefined {
  for (const [pattern, page] of pages) {
    const params = match(pattern, path)
    if (params) return page(params[0] ?? '')
  }
  return undefined
}

// match compares a path with a pattern such as /endpoints/:id/edit, and returns its parameters.
function match(pattern: string, path: string): string[] | null {
  const want = pattern.split('/'), got = path.split('/')
  if (want.length !== got.length) return null
  const params: string[] = []
  for (const [i, part] of want.entries()) {
    if (part.startsWith(':')) {
      try {
        params.push(decodeURIComponent(got[i]!))
      } catch {
        return null
      }
    } else if (part !== got[i]) return null
  }
  return params
}

interface LinkProps {
  to: string
  children: ComponentChildren
  'aria-current'?: 'page' | undefined
}

export function Link({ to, children, ...rest }: LinkProps) {
  const follow = (e: MouseEvent) => {
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.button !== 0) return
    e.preventDefault()
    go(to)
  }
  return (
    <a href={base + to} onClick={follow} {...rest}>
      {children}
    </a>
  )
}
