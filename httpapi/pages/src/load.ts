// Data of the API in components.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { Problem } from './api'

export interface Loaded<T> {
  data: T | undefined // the last that was read, also while it is read again or can't be
  problem: Problem | undefined
  loading: boolean
  reload: () => void
}

// useLoad reads when the component appears and whenever one of the keys changes. With every it reads
// again after so many seconds while the page is visible.
export function useLoad<T>(read: (signal: AbortSignal) => Promise<T>, keys: unknown[], every = 0): Loaded<T> {
  const [state, set] = useState<{ data?: T; problem?: Problem; loading: boolean }>({ loading: true })
  const [turn, setTurn] = useState(0)
  const reload = useCallback(() => setTurn((n) => n + 1), [])
  const before = useRef<unknown[]>([])
  useEffect(() => {
    const control = new AbortController()
    const same = before.current.length === keys.length && keys.every((k, i) => k === before.current[i])
    before.current = keys
    set((s) => (same ? { ...s, loading: true } : { loading: true }))
    read(control.signal).then(
      (data) => !control.signal.aborted && set({ data, loading: false }),
      (e: unknown) => !control.signal.aborted && set((s) => ({ ...s, problem: asProblem(e), loading: false })),
    )
    return () => control.abort()
  }, [...keys, turn])
  useEffect(() => {
    if (every === 0) return
    const timer = setInterval(() => document.visibilityState === 'visible' && reload(), every * 1000)
    return () => clearInterval(timer)
  }, [every])
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
