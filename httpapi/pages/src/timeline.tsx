// The way of one message to its endpoints over time. The drawing is for the eye only; each endpoint
// says the same in a sentence below it.

import type { Attempt, EndpointExplanation } from './api'
import { useNow } from './load'
import { date, when } from './format'
import { t } from './text'
import { Card } from './ui'

const fold = 4 // a wait takes at most so many times the room of a short one

interface Props {
  accepted: string
  endpoints: EndpointExplanation[]
  attempts: Attempt[]
}

export function Timeline({ accepted, endpoints, attempts }: Props) {
  const now = useNow(5)
  if (attempts.length === 0) return null
  const waits = endpoints.filter((e) => e.nextAttempt)
  const times = [new Date(accepted).getTime(), ...attempts.map((a) => new Date(a.timestamp).getTime()), ...waits.map((e) => new Date(e.nextAttempt!).getTime())]
  if (waits.length > 0) times.push(now)
  const x = scale(times)
  return (
    <Card title={t.timeline}>
      <div class="timeline" aria-hidden="true">
        {endpoints.map((e) => {
          const own = attempts.filter((a) => a.endpointId === e.endpointId)
          const last = own.length > 0 ? Math.max(...own.map((a) => new Date(a.timestamp).getTime())) : times[0]!
          return (
            <div class="lane" key={e.endpointId}>
              <span class="lane-name" dir="auto">{e.url.replace(/^https?:\/\//, '')}</span>
              <svg viewBox="0 0 100 10" preserveAspectRatio="none">
                <line x1={x(times[0]!)} x2={x(last)} y1="5" y2="5" class="past" />
                {e.nextAttempt && <line x1={x(last)} x2={x(new Date(e.nextAttempt).getTime())} y1="5" y2="5" class="future" />}
                {waits.length > 0 && <line x1={x(now)} x2={x(now)} y1="0" y2="10" class="now" />}
              </svg>
              {own.map((a) => <i class={'point ' + a.statusText} style={{ left: `${x(new Date(a.timestamp).getTime())}%` }} title={`${date(a.timestamp)} · ${a.responseStatusCode || t.noResponse}`} />)}
              {e.nextAttempt && <i class="point planned" style={{ left: `${x(new Date(e.nextAttempt).getTime())}%` }} title={date(e.nextAttempt)} />}
            </div>
          )
        })}
        <div class="lane scale"><span class="lane-name" /><span>{when(Math.min(...times))}</span><span>{when(Math.max(...times))}</span></div>
      </div>
    </Card>
  )
}

// scale folds long waits: between two moments it gives room by the logarithm of the wait, within
// bounds, so that 40 ms of attempts are visible beside a day of waiting.
function scale(times: number[]): (time: number) => number {
  const sorted = [...new Set(times)].sort((a, b) => a - b)
  const at = new Map<number, number>()
  let sum = 0
  for (const [i, time] of sorted.entries()) {
    if (i > 0) sum += Math.min(fold, 1 + Math.log10(1 + (time - sorted[i - 1]!) / 1000))
    at.set(time, sum)
  }
  return (time) => 2 + (96 * (at.get(time) ?? 0)) / (sum || 1)
}
