// What happens, as it happens. The tabs of a browser share one stream: one of those that can be seen
// reads it and passes the events on. When it is closed or hidden, another continues after the last
// event. Without a stream, pages read again every few seconds.

import { useEffect, useRef, useState } from 'preact/hooks'
import { Problem } from './api'
import { readTail, Silent, type Event } from './tail'

export type { Event } from './tail'

export type Connection = 'connecting' | 'open' | 'lost' | 'polling'

const beat = 5000 // ms between words of the tab that reads
const patience = 6 // beats that the other tabs miss before one of them takes over
const longest = 5 * 60_000 // ms; after a longer time the events in between are not asked for
const sudden = 2000 // ms that a connection may be lost before anybody is told

let connection: Connection = 'connecting'
let last = '' // ID of the last event
let lastAt = 0 // when it came
const listeners = new Set<(events: Event[]) => void>()
const watchers = new Set<(c: Connection) => void>()

function emit(events: Event[]): void {
  lastAt = Date.now()
  last = events.findLast((e) => e.id !== '')?.id ?? last
  const shown = events.filter((e) => e.kind !== 'place' && e.kind !== 'cut')
  if (shown.length > 0) for (const f of listeners) f(shown)
}

function setConnection(c: Connection): void {
  if (c === connection) return
  connection = c
  for (const f of watchers) f(c)
}

// Words are what tabs say to each other.
type Words = { events: Event[] } | { connection: Connection } | { hello: true }

// startLive begins to listen with the token of the page. Tabs with the same name share a stream. The
// function that it returns ends it.
export function startLive(name: string): () => void {
  last = ''
  const channel = new BroadcastChannel('hookwheel.' + name)
  let turn = new AbortController(), reading = false, missed = 0
  const say = (words: Words) => turn.signal.aborted || channel.postMessage(words)
  const told = (c: Connection) => { setConnection(c); say({ connection: c }) }
  const read = async (signal: AbortSignal) => {
    reading = true
    await readOn(signal, (events) => { emit(events); say({ events }) }, told)
    reading = false
  }
  channel.onmessage = ({ data }: MessageEvent<Words>) => {
    if ('hello' in data) return void (reading && say({ connection }))
    missed = 0
    if (reading) return
    if ('events' in data) emit(data.events)
    else setConnection(data.connection)
  }
  const timer = setInterval(() => {
    if (reading) return say({ connection })
    if (document.visibilityState === 'visible' && ++missed > patience) {
      missed = 0
      turn.abort()
      turn = new AbortController()
      void takeTurns('hookwheel.' + name, turn.signal, read, true)
    }
  }, beat)
  const look = () => {
    turn.abort()
    missed = 0
    if (document.visibilityState === 'hidden') return
    turn = new AbortController()
    say({ hello: true })
    void takeTurns('hookwheel.' + name, turn.signal, read)
  }
  document.addEventListener('visibilitychange', look)
  look()
  return () => {
    document.removeEventListener('visibilitychange', look)
    clearInterval(timer)
    turn.abort()
    channel.close()
    setConnection('connecting')
  }
}

// takeTurns runs a function while no other tab does, until the signal. Where tabs cannot lock each
// other out, as on plain HTTP, each has its own stream.
async function takeTurns(name: string, signal: AbortSignal, run: (signal: AbortSignal) => Promise<void>, steal = false): Promise<void> {
  while (!signal.aborted) {
    const own = new AbortController()
    const abort = () => own.abort()
    signal.addEventListener('abort', abort)
    try {
      if (!navigator.locks) return await run(signal)
      await navigator.locks.request(name, steal ? { steal } : { signal }, () => signal.aborted ? undefined : run(own.signal))
      return
    } catch (e) {
      abort() // if another tab took it away, that one reads from now on
      if ((e as Error).name !== 'AbortError') return await run(signal) // locks are forbidden in some frames
    } finally {
      signal.removeEventListener('abort', abort)
    }
    steal = false
  }
}

// readOn reads the stream, and opens it again whenever it ends, until the signal or the end of the
// token.
async function readOn(signal: AbortSignal, see: (events: Event[]) => void, told: (c: Connection) => void): Promise<void> {
  let failures = 0, silent = 0, worry = 0
  const calm = () => {
    clearTimeout(worry)
    worry = 0
  }
  signal.addEventListener('abort', calm)
  while (!signal.aborted) {
    const from = Date.now() - lastAt > longest ? '' : last
    let heard = false, wait = 0
    try {
      await readTail(from, signal, (events) => {
        if (!heard) {
          calm()
          told('open')
          if (from === '' && lastAt > 0) see([{ id: '', kind: 'gap', data: { since: new Date(lastAt).toISOString() } }])
        }
        heard = true
        failures = silent = 0
        see(events)
      })
    } catch (e) {
      const { status = 0, retryAfter = 0 } = e instanceof Problem ? e : {}
      if (status === 401 || status === 403) return told('polling')
      if (status === 422) last = '' // it is not of this cluster
      if (e instanceof Silent && !heard) silent++
      if (status >= 429 || silent > 1) {
        calm()
        told('polling')
        wait = silent > 1 ? 60_000 : Math.max(retryAfter * 1000, 10_000)
      }
    }
    if (signal.aborted) return
    if (connection !== 'polling') worry ||= window.setTimeout(() => told('lost'), sudden)
    await pause((wait || Math.min(30_000, 250 * 2 ** ++failures)) * (0.5 + Math.random() / 2), signal)
  }
}

// pause waits, but no longer than until the network is back.
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      removeEventListener('online', end)
      done()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    addEventListener('online', end)
  })
}

// useEvents calls see with events that arrive together. Some kinds are the page's own: gap says that
// what happened before is not known.
export function useEvents(see: (events: Event[]) => void): void {
  const current = useRef(see)
  current.current = see
  useEffect(() => {
    const f = (events: Event[]) => current.current(events)
    listeners.add(f)
    return () => void listeners.delete(f)
  }, [])
}

// useConnection returns how the connection is.
export function useConnection(): Connection {
  const [now, set] = useState(connection)
  useEffect(() => {
    set(connection)
    watchers.add(set)
    return () => void watchers.delete(set)
  }, [])
  return now
}
