// Data of the API in components.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { Problem } from './api'
import { useConnection, useEvents, type Event } from './live'

export interface Loaded<T> {
  data: T | undefined // the last that was read, also while it is read again or can't be
  problem: Problem | undefined
  loading: boolean
  reload: () => void
}

const lively = 3 // how much longer pages wait between readings while events tell them of changes
const calm = 1000 // ms between readings because of events
const busy = 5000 // the same while there are more events than are sent

// useLoad reads when the component appears and whenever one of the keys changes. With every it reads
// again after so many seconds while the page is visible; with matters also when there are such events.
// What failed only for now is tried again.
export function useLoad<T>(read: (signal: AbortSignal) => Promise<T>, keys: unknown[], every = 0, matters?: (e: Event) => boolean): Loaded<T> {
  const [state, set] = useState<{ data?: T; problem?: Problem; loading: boolean }>({ loading: true })
  const [turn, setTurn] = useState(0)
  const reload = useCallback(() => setTurn((n) => n + 1), [])
  const before = useRef<unknown[]>([])
  const began = useRef(0)
  const loading = useRef(true)
  const failures = useRef(0)
  const nudge = useRef(0)
  useEffect(() => {
    const control = new AbortController()
    const same = before.current.length === keys.length && keys.every((k, i) => k === before.current[i])
    before.current = keys
    began.current = Date.now()
    loading.current = true
    set((s) => (same ? { ...s, loading: true } : { loading: true }))
    let again = 0
    read(control.signal).then(
      (data) => {
        if (control.signal.aborted) return
        failures.current = 0
        set({ data, loading: false })
      },
      (e: unknown) => {
        if (control.signal.aborted) return
        const problem = asProblem(e)
        set((s) => ({ ...s, problem, loading: false }))
        if (problem.isPassing) again = window.setTimeout(reload, Math.max(problem.retryAfter * 1000, Math.min(30_000, 1000 * 2 ** failures.current++)))
      },
    ).finally(() => control.signal.aborted || (loading.current = false))
    return () => {
      clearTimeout(again)
      control.abort()
    }
  }, [...keys, turn])
  const connection = useConnection()
  const seconds = matters && connection === 'open' ? every * lively : every
  useEffect(() => {
    if (every === 0) return
    const due = () => document.visibilityState === 'visible' && !loading.current && Date.now() - began.current >= seconds * 1000 - 500 && reload()
    const timer = setInterval(due, Math.min(every, 5) * 1000)
    document.addEventListener('visibilitychange', due)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', due)
    }
  }, [every, seconds])
  useEvents((events) => {
    if (!matters || every === 0 || nudge.current !== 0) return
    const known = events.some((e) => e.kind === 'gap' || e.kind !== 'skipped' && matters(e))
    if (!known && !events.some((e) => e.kind === 'skipped')) return
    if (document.visibilityState === 'hidden') return void (began.current = 0) // due when it is shown
    const next = () => {
      nudge.current = 0
      if (loading.current) nudge.current = window.setTimeout(next, calm)
      else reload()
    }
    nudge.current = window.setTimeout(next, Math.max(100, began.current + (known ? calm : busy) - Date.now()))
  })
  useEffect(() => () => clearTimeout(nudge.current), [])
  return { data: state.data, problem: state.problem, loading: state.loading, reload }
}

export function asProblem(e: unknown): Problem {
  return e instanceof Problem ? e : new Problem(-1, 'page_error', e instanceof Error ? e.message : String(e))
}

// useAction runs one change at a time and keeps why it failed.
export function useAction(): { busy: boolean; problem: Problem | undefined; run: (f: () => Promise<void>) => Promise<boolean>; clear: () => void } {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem | undefined>()
  const running = useRef(false)
  const run = async (f: () => Promise<void>) => {
    if (running.current) return false
    running.current = true
    setBusy(true)
    setProblem(undefined)
    try {
      await f()
      return true
    } catch (e) {
      setProblem(asProblem(e))
      return false
    } finally {
      running.current = false
      setBusy(false)
    }
  }
  return { busy, problem, run, clear: () => setProblem(undefined) }
}

// useNow returns the time, anew every so many seconds.
export function useNow(every: number): number {
  const [now, set] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), every * 1000)
    return () => clearInterval(timer)
  }, [every])
  return now
}
