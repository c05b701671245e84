// The stream of attempts and changes. It is closed while the page is hidden, and continues with the
// last event.

import { useEffect, useRef, useState } from 'preact/hooks'
import { stream, type Query } from './api'

export interface Event {
  id: string
  kind: string
  data: Record<string, unknown>
}

export type Connection = 'connecting' | 'open' | 'lost'

const again = 3000 // ms until a lost stream is opened again

// useStream calls see with the events that arrive together, and says how the connection is.
export function useStream(query: Query, see: (events: Event[]) => void): Connection {
  const [connection, set] = useState<Connection>('connecting')
  const seer = useRef(see)
  seer.current = see
  const key = JSON.stringify(query)
  useEffect(() => {
    let control = new AbortController(), last = '', timer = 0, over = false
    const run = async () => {
      control = new AbortController()
      const own = control
      try {
        const body = await stream('/tail', query, own.signal, last)
        set('open')
        for await (const events of parse(body)) {
          last = events.at(-1)?.id || last
          seer.current(events)
        }
      } catch {
        // opened again below
      }
      if (over || document.visibilityState === 'hidden' || own.signal.aborted) return
      set('lost')
      timer = window.setTimeout(() => void run(), again)
    }
    const look = () => {
      clearTimeout(timer)
      control.abort()
      if (document.visibilityState === 'visible') void run()
    }
    document.addEventListener('visibilitychange', look)
    look()
    return () => {
      over = true
      clearTimeout(timer)
      control.abort()
      document.removeEventListener('visibilitychange', look)
    }
  }, [key])
  return connection
}

// parse reads server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html.
async function* parse(body: ReadableStream<Uint8Array>): AsyncGenerator<Event[]> {
  const reader = body.pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const parts = text.split('\n\n')
    text = parts.pop()!
    const events = parts.map(parseOne).filter((e) => e !== undefined)
    if (events.length > 0) yield events
  }
}

function parseOne(part: string): Event | undefined {
  let id = '', kind = 'message', data = ''
  for (const line of part.split('\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue // a comment keeps the connection alive
    const value = line.slice(colon + 1).replace(/^ /, '')
    switch (line.slice(0, colon)) {
      case 'id': id = value; break
      case 'event': kind = value; break
      case 'data': data += value
    }
  }
  try {
    return { id, kind, data: data === '' ? {} : (JSON.parse(data) as Record<string, unknown>) }
  } catch {
    return undefined
  }
}
