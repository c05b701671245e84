// The states of endpoints, attempts, deliveries and tasks, in words.

import type { Attempt, Endpoint, EndpointExplanation, Task } from './api'
import { t } from './text'
import { Badge, type Tone } from './ui'

const health: Record<Endpoint['health']['state'], Tone> = { healthy: 'good', failing: 'wait', parked: 'bad', paused: 'off', disabled: 'off' }

export function EndpointState({ of }: { of: Endpoint }) {
  return <Badge tone={health[of.health.state]}>{t.health[of.health.state]}</Badge>
}

const outcomes: Record<Attempt['statusText'], Tone> = { success: 'good', pending: 'wait', fail: 'bad', sending: 'wait', canceled: 'off' }

export function AttemptState({ of }: { of: Attempt }) {
  return <Badge tone={outcomes[of.statusText]}>{t.outcome[of.statusText]}</Badge>
}

// answer is the status code of a response, or that there was none.
export function answer(of: Attempt): string {
  return of.responseStatusCode === 0 ? t.noResponse : String(of.responseStatusCode)
}

const deliveries: Record<EndpointExplanation['state'], Tone> = {
  delivered: 'good', retrying: 'wait', sending: 'wait', scheduled: 'wait', held: 'wait', requested: 'wait', waiting: 'wait',
  filtered: 'off', earlier: 'off', skipped: 'off', canceled: 'off', 'given up': 'bad',
}

export function DeliveryState({ of }: { of: EndpointExplanation }) {
  return <Badge tone={deliveries[of.state]}>{t.delivery[of.state]}</Badge>
}

const tasks: Record<Task['data']['state'], Tone> = { running: 'wait', paused: 'off', finished: 'good', canceled: 'off', failed: 'bad' }

export function TaskState({ of }: { of: Task }) {
  return <Badge tone={tasks[of.data.state]}>{t.task[of.data.state]}</Badge>
}
