// Additional headers of the requests to an endpoint. Sensitive values can be written but not read.

import { useState } from 'preact/hooks'
import { get, p, send, type Endpoint } from './api'
import { useReader } from './context'
import { useAction, useLoad } from './load'
import { t } from './text'
import { Button, Content, Failure, Form, Mono, TextInput, toast } from './ui'

interface HeadersOut {
  headers: Record<string, string>
  sensitive: string[]
}

export function Headers({ endpoint }: { endpoint: Endpoint }) {
  const { app } = useReader()
  const path = p`/app/${app}/endpoint/${endpoint.id}/headers`
  const list = useLoad((signal) => get<HeadersOut>(path, {}, signal), [path])
  const [name, setName] = useState('')
  const [value, setValue] = useState('')
  const { busy, problem, run } = useAction()
  const patch = (body: unknown) => run(async () => {
    await send('PATCH', path, body)
    toast(t.saved)
    list.reload()
  })
  return (
    <>
      <Content of={list}>
        {({ headers, sensitive }) => {
          const names = [...Object.keys(headers), ...sensitive].sort()
          if (names.length === 0) return <p>{t.noHeaders}</p>
          return (
            <ul class="items">
              {names.map((n) => (
                <li key={n}>
                  <span><Mono>{n}</Mono>: {n in headers ? <Mono>{headers[n]}</Mono> : t.hiddenValue}</span>
                  <Button busy={busy} onClick={() => void patch({ deleteHeaders: [n] })} aria-label={t.removeNamed(n)}>{t.remove}</Button>
                </li>
              ))}
            </ul>
          )
        }}
      </Content>
      <Form kind="filters" submit={async () => (await patch({ headers: { [name]: value } })) && (setName(''), setValue(''))}>
        <TextInput label={t.name} value={name} set={setName} error={problem?.fields.headers} required />
        <TextInput label={t.value} value={value} set={setValue} required />
        <div class="field"><Button submit busy={busy}>{t.addHeader}</Button></div>
      </Form>
      <Failure problem={problem} />
    </>
  )
}
