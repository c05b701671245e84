// What to paste into a terminal before the first event, and that it has arrived.

import { useEffect, useRef } from 'preact/hooks'
import { get, type Application, type ByHealth, type Page, type Series } from './api'
import { useLoad } from './load'
import { Link } from './router'
import { t } from './text'
import { Badge, Card, Copy } from './ui'

const longest = 90 * 86_400_000 // ms for which attempts are counted

// FirstRun is shown while nothing was ever attempted. alive is called with the first attempt.
export function FirstRun({ alive }: { alive: () => void }) {
  const seen = useRef<'unknown' | 'new' | 'old'>('unknown')
  const state = useLoad(async (signal) => {
    const [apps, endpoints, attempts] = await Promise.all([
      get<Page<Application>>('/app', { limit: 1 }, signal),
      get<ByHealth>('/endpoint', { limit: 1 }, signal),
      get<Series>('/stats/attempt', { period: 'OneDay', startDate: new Date(Date.now() - longest + 86_400_000).toISOString() }, signal),
    ])
    return {
      app: apps.data[0], endpoint: Object.entries(endpoints.counts).some(([, n]) => n > 0),
      attempts: attempts.total.success + attempts.total.failure + attempts.total.canceled,
    }
  }, [], seen.current === 'old' ? 0 : 3)
  const { data } = state
  if (data && seen.current === 'unknown') seen.current = data.attempts > 0 ? 'old' : 'new'
  const arrived = seen.current === 'new' && data !== undefined && data.attempts > 0
  useEffect(() => {
    if (arrived) alive()
  }, [arrived])
  if (!data || seen.current !== 'new') return null
  if (arrived) return <Card title={t.firstArrived}><p role="status">{t.firstArrivedText} {data.app && <Link to={`/apps/${data.app.id}/messages`}>{t.messages}</Link>}</p></Card>
  return (
    <Card title={t.firstRun}>
      <p>{t.firstRunText}</p>
      <ol class="steps">
        <Step title={t.firstApplication} done={data.app !== undefined} path="/app" body={{ name: 'Acme', uid: 'acme' }} />
        <Step title={t.firstEndpoint} done={data.endpoint} path="/app/acme/endpoint" body={{ url: location.origin + '/api/v1/health/ping' }} />
        <Step title={t.firstMessage} done={false} path="/app/acme/msg" body={{ eventType: 'user.created', payload: { name: 'Ada' } }} />
      </ol>
      <p role="status"><Badge tone="wait">{t.firstWaiting}</Badge></p>
    </Card>
  )
}

function Step({ title, done, path, body }: { title: string; done: boolean; path: string; body: unknown }) {
  const text = `curl -X POST '${location.origin}/api/v1${path}' \\\n  -H "Authorization: Bearer $TOKEN" \\\n  -d '${JSON.stringify(body)}'`
  return (
    <li>
      <p>{title} {done && <Badge tone="good">{t.done}</Badge>}</p>
      {!done && <><pre tabIndex={0} aria-label={title}>{text}</pre><Copy text={text} /></>}
    </li>
  )
}
