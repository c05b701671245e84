// One attempt, as it went over the wire.

import { get, p, type Attempt, type AttemptHeaders, type Trace } from './api'
import { useReader } from './context'
import { bytes, duration } from './format'
import { visible } from './json'
import { JSONView } from './json-view'
import { useLoad } from './load'
import { t } from './text'
import { Card, Content, Fact, Facts, Mono, Time } from './ui'

export function AttemptDetails({ of }: { of: Attempt }) {
  return (
    <>
      <Facts>
        <Fact name="ID"><Mono>{of.id}</Mono></Fact>
        <Fact name={t.time}><Time at={of.timestamp} full /></Fact>
        {of.nextAttempt && <Fact name={t.nextAttempt}><Time at={of.nextAttempt} full /></Fact>}
        {of.trace && <TraceFacts of={of.trace} />}
      </Facts>
      <Headers of={of} />
      <h3>{t.response}</h3>
      {of.response ? <JSONView text={of.response} label={t.response} /> : <p>{t.emptyResponse}</p>}
    </>
  )
}

function TraceFacts({ of }: { of: Trace }) {
  const parts: [string, number][] = [[t.lookup, of.lookupMs], [t.connect, of.connectMs], ['TLS', of.tlsMs], [t.firstByte, of.firstByteMs], [t.total, of.totalMs]]
  return (
    <>
      <Fact name={t.peer}>{of.peer ? <Mono>{of.peer}</Mono> : '–'}{of.connectionReused && <><br />{t.connectionReused}</>}</Fact>
      {of.tlsVersion && <Fact name="TLS">{of.tlsVersion}</Fact>}
      {of.tlsError && <Fact name={t.tlsError}><span lang="en">{visible(of.tlsError)}</span></Fact>}
      <Fact name={t.size}>{t.sizes(bytes(of.sentBytes), bytes(of.receivedBytes))}</Fact>
      <Fact name={t.duration}>{parts.filter(([, ms]) => ms > 0).map(([name, ms]) => `${name} ${duration(ms)}`).join('\n') || duration(0)}</Fact>
    </>
  )
}

// Headers are read when the attempt is opened.
function Headers({ of }: { of: Attempt }) {
  const { app } = useReader()
  const list = useLoad((signal) => get<AttemptHeaders>(p`/app/${app}/msg/${of.msgId}/attempt/${of.id}/headers`, {}, signal), [of.id])
  return (
    <Content of={list}>
      {(h) => (
        <div class="columns">
          <Card title={t.sentHeaders}>
            <HeaderList of={[...Object.entries(h.sentHeaders), ...h.sensitive.map((name) => [name, '***'] as [string, string])]} complete={h.sentHeadersComplete} />
          </Card>
          {h.responseHeaders && <Card title={t.responseHeaders}><HeaderList of={h.responseHeaders as [string, string][]} complete={h.responseHeadersComplete} /></Card>}
        </div>
      )}
    </Content>
  )
}

function HeaderList({ of, complete }: { of: [string, string][]; complete: boolean }) {
  return (
    <>
      <ul class="items">{of.map(([name, value], i) => <li key={i}><Mono>{name + ': ' + value}</Mono></li>)}</ul>
      {!complete && <p class="hint">{t.headersIncomplete}</p>}
    </>
  )
}
