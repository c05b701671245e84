// What customers should know of deliveries: how often and how long messages are tried, and where
// they come from.

import { get, type Settings } from './api'
import { span } from './format'
import { useLoad } from './load'
import { t } from './text'
import { Card, Content, Copy, Fact, Facts, Mono, Title } from './ui'

export function About() {
  const settings = useLoad((signal) => get<Settings>('/environment/settings', {}, signal), [])
  return (
    <>
      <Title>{t.aboutTitle}</Title>
      <Content of={settings}>{({ delivery }) => <><Retries of={delivery} /><Sources of={delivery.sourceAddresses} /></>}</Content>
    </>
  )
}

function Retries({ of }: { of: Settings['delivery'] }) {
  const total = of.retrySchedule.reduce((sum, delay) => sum + delay, 0)
  return (
    <Card title={t.retriesTitle}>
      <p>{t.successText(span(of.timeoutSeconds))}</p>
      {of.retrySchedule.length === 0 ? <p>{t.noRetries}</p> : (
        <>
          <p>{t.retriesText(of.retrySchedule.length + 1, span(total))}</p>
          <ol class="sentences">{of.retrySchedule.map((delay) => <li>{t.afterDelay(span(delay))}</li>)}</ol>
        </>
      )}
      <Facts>
        <Fact name={t.timeoutOf}>{span(of.timeoutSeconds)}</Fact>
        <Fact name={t.keptFor}>{span(of.retentionSeconds)}</Fact>
      </Facts>
    </Card>
  )
}

function Sources({ of }: { of: string[] }) {
  return (
    <Card title={t.sourcesTitle}>
      {of.length === 0 ? <p>{t.sourcesUnknown}</p> : (
        <>
          <p>{t.sourcesText}</p>
          <ul class="items">{of.map((source) => <li><Mono>{source}</Mono></li>)}</ul>
          <Copy text={of.join('\n')} />
        </>
      )}
    </Card>
  )
}
