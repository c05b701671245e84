// The stream of attempts and changes, as server-sent events. They are read with fetch, because an
// EventSource cannot send a token in a header.

import { stream } from './api'

export interface Event {
  id: string
  kind: string // attempt, change, skipped, place, cut
  data: Record<string, unknown>
}

const rate = 50 // events per second; the server counts the others
const silence = 13_000 // ms without a byte; the server sends something every 5 seconds

// Silent is thrown when nothing arrives any more: the network is gone, the computer was asleep, or
// a proxy keeps it back.
export class Silent extends Error {}

// readTail calls see with the events after the one with the given ID, until the stream ends.
export async function readTail(last: string, signal: AbortSignal, see: (events: Event[]) => void): Promise<void> {
  const control = new AbortController()
  const abort = () => control.abort()
  signal.addEventListener('abort', abort)
  let heard = Date.now()
  const watch = setInterval(() => Date.now() - heard > silence && abort(), 2000)
  try {
    for await (const events of parse(await stream('/tail', { rate }, control.signal, last))) {
      heard = Date.now()
      see(events)
    }
  } catch (e) {
    if (control.signal.aborted && !signal.aborted) throw new Silent()
    throw e
  } finally {
    clearInterval(watch)
    signal.removeEventListener('abort', abort)
    abort()
  }
}

// parse reads server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html.
async function* parse(body: ReadableStream<Uint8Array>): AsyncGenerator<Event[]> {
  const reader = body.getReader(), decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += decoder.decode(value, { stream: true })
    const parts = text.split('\n\n')
    text = parts.pop()!
    yield parts.map(parseOne).filter((e) => e !== undefined)
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
